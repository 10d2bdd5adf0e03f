//! The keys of `bindings!`.

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, LitBool, LitInt, LitStr, Path, Result, Token, braced, bracketed};

pub struct Input {
    pub plugin: Path,
    pub handler: Path,
    pub name: LitStr,
    pub wit: LitStr,
    pub handlers: Vec<LitStr>,
    pub provides: Vec<(LitStr, Vec<FunctionInput>)>,
    pub calls: Vec<(LitStr, bool)>,
    pub services: Vec<(LitStr, u32)>,
    pub config: Option<LitStr>,
    pub schemes: Vec<LitStr>,
    pub commands: Vec<(LitStr, LitStr)>,
    pub ambient: bool,
    pub fault: Option<FaultInput>,
}

/// The case that reports a fault, for functions whose error is a type of the WIT.
pub struct FaultInput {
    /// The name of the case in the WIT; none for `fault: none`.
    pub case: Option<String>,
    pub span: Span,
}

pub struct FunctionInput {
    pub name: LitStr,
    pub is_async: bool,
    pub effect: String,
}

#[derive(Default)]
struct Draft {
    plugin: Option<Path>,
    handler: Option<Path>,
    name: Option<LitStr>,
    wit: Option<LitStr>,
    handlers: Vec<LitStr>,
    provides: Vec<(LitStr, Vec<FunctionInput>)>,
    calls: Vec<(LitStr, bool)>,
    services: Vec<(LitStr, u32)>,
    config: Option<LitStr>,
    schemes: Vec<LitStr>,
    commands: Vec<(LitStr, LitStr)>,
    ambient: bool,
    fault: Option<FaultInput>,
}

impl Parse for Input {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut draft = Draft::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            input.parse::<Token![:]>()?;
            draft.read(&key, input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        draft.finish()
    }
}

impl Draft {
    fn read(&mut self, key: &Ident, input: ParseStream<'_>) -> Result<()> {
        match key.to_string().as_str() {
            "plugin" => self.plugin = Some(input.parse()?),
            "handler" => self.handler = Some(input.parse()?),
            "name" => self.name = Some(input.parse()?),
            "wit" => self.wit = Some(input.parse()?),
            "handlers" => self.handlers = list(input)?,
            "provides" => self.provides = map(input, |input| map(input, effect).map(functions))?,
            "calls" => self.calls = map(input, requirement)?,
            "services" => self.services = map(input, |input| input.parse::<LitInt>()?.base10_parse())?,
            "config" => self.config = Some(input.parse()?),
            "schemes" => self.schemes = list(input)?,
            "commands" => self.commands = map(input, Parse::parse)?,
            "ambient" => self.ambient = input.parse::<LitBool>()?.value,
            "fault" => self.fault = Some(fault(input)?),
            other => {
                return Err(Error::new(
                    key.span(),
                    format!(
                        "unknown key {other}: bindings! takes plugin, handler, name, wit, handlers, provides, calls, \
                         services, config, schemes, commands, ambient and fault"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Input> {
        let missing = |key: &str| Error::new(Span::call_site(), format!("bindings! needs the key {key}"));
        let name = self.name.ok_or_else(|| missing("name"))?;
        let handlers = if self.handlers.is_empty() { vec![name.clone()] } else { self.handlers };
        Ok(Input {
            plugin: self.plugin.ok_or_else(|| missing("plugin"))?,
            handler: self.handler.ok_or_else(|| missing("handler"))?,
            wit: self.wit.ok_or_else(|| missing("wit"))?,
            name,
            handlers,
            provides: self.provides,
            calls: self.calls,
            services: self.services,
            config: self.config,
            schemes: self.schemes,
            commands: self.commands,
            ambient: self.ambient,
            fault: self.fault,
        })
    }
}

fn list(input: ParseStream<'_>) -> Result<Vec<LitStr>> {
    let inner;
    bracketed!(inner in input);
    Ok(Punctuated::<LitStr, Token![,]>::parse_terminated(&inner)?.into_iter().collect())
}

fn map<T>(input: ParseStream<'_>, mut value: impl FnMut(ParseStream<'_>) -> Result<T>) -> Result<Vec<(LitStr, T)>> {
    let inner;
    braced!(inner in input);
    let mut entries = Vec::new();
    while !inner.is_empty() {
        let key = inner.parse()?;
        inner.parse::<Token![:]>()?;
        entries.push((key, value(&inner)?));
        if !inner.is_empty() {
            inner.parse::<Token![,]>()?;
        }
    }
    Ok(entries)
}

/// `io`, or `"is-broken"` if the name is not a Rust name, or `none`.
fn fault(input: ParseStream<'_>) -> Result<FaultInput> {
    let (case, span) = if input.peek(LitStr) {
        let name: LitStr = input.parse()?;
        (Some(name.value()), name.span())
    } else {
        let name = Ident::parse_any(input)?;
        let text = name.to_string();
        let case = text.strip_prefix("r#").unwrap_or(&text).to_owned();
        ((case != "none").then_some(case), name.span())
    };
    Ok(FaultInput { case, span })
}

fn effect(input: ParseStream<'_>) -> Result<(bool, String)> {
    let is_async = input.parse::<Option<Token![async]>>()?.is_some();
    let effect: Ident = input.parse()?;
    match effect.to_string().as_str() {
        known @ ("pure" | "read" | "effect" | "idempotent" | "chain") => Ok((is_async, known.to_owned())),
        _ => Err(Error::new(effect.span(), "an effect is pure, read, effect, idempotent or chain")),
    }
}

fn functions(entries: Vec<(LitStr, (bool, String))>) -> Vec<FunctionInput> {
    entries.into_iter().map(|(name, (is_async, effect))| FunctionInput { name, is_async, effect }).collect()
}

fn requirement(input: ParseStream<'_>) -> Result<bool> {
    let word: Ident = input.parse()?;
    match word.to_string().as_str() {
        "required" => Ok(true),
        "optional" => Ok(false),
        _ => Err(Error::new(word.span(), "a called interface is required or optional")),
    }
}
