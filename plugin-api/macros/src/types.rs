//! Rust types for WIT types, as tokens.

use std::cell::RefCell;
use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Result};
use wit_parser::{Docs, Interface, InterfaceId, Package, Resolve, Span, Type, TypeDef, TypeDefKind, TypeId, TypeOwner};

use crate::names::{camel, snake};

/// How a parameter is decoded from the arguments.
#[derive(Clone, Copy, PartialEq)]
pub enum Reading {
    /// Decoded into an owned value.
    Value,
    /// Borrowed text.
    Text,
    /// Borrowed bytes.
    Bytes,
}

/// How a function reports a fault: a panic in the plugin, or an effect whose outcome is unknown.
pub enum FaultReport {
    /// As the text of its `err`.
    Text,
    /// As the case of its `err` that the key `fault` names.
    Case,
    /// It has an `err` that cannot report a fault.
    Impossible,
    /// It has no `err`.
    None,
}

pub struct Types<'a> {
    pub resolve: &'a Resolve,
    pub span: proc_macro2::Span,
    /// The lengths of tuples that are too long for the traits of the standard library.
    pub long_tuples: RefCell<BTreeSet<usize>>,
}

/// The longest tuple with `Debug`, `Clone` and `PartialEq` in the standard library.
const LONGEST: usize = 12;

impl Types<'_> {
    fn refuse<T>(&self, what: &str, at: Option<Span>) -> Result<T> {
        let at = at.filter(Span::is_known).map(|at| format!("{}: ", self.resolve.render_location(at)));
        Err(Error::new(self.span, format!("{}{what} cannot cross the plugin boundary", at.unwrap_or_default())))
    }

    /// The module path of an interface: namespace, package, interface. The package name contains the version if the WIT
    /// has several versions of the package.
    pub fn path(&self, id: InterfaceId) -> Option<[proc_macro2::Ident; 3]> {
        let interface = self.resolve.interfaces.get(id)?;
        let package = self.resolve.packages.get(interface.package?)?;
        let of = &package.name;
        let is_it = |other: &&Package| other.name.namespace == of.namespace && other.name.name == of.name;
        let name = match &of.version {
            Some(version) if self.resolve.packages.iter().map(|(_, other)| other).filter(is_it).count() > 1 => {
                snake(&format!("{}-{version}", of.name).replace(['.', '+'], "-"))
            }
            _ => snake(&of.name),
        };
        Some([snake(&of.namespace), name, snake(interface.name.as_ref()?)])
    }

    /// The Rust type, as written in the module of the interface `from`, or in the invocation's scope.
    pub fn name(&self, ty: &Type, from: Option<InterfaceId>) -> Result<TokenStream> {
        Ok(match ty {
            Type::Bool => quote!(bool),
            Type::U8 => quote!(u8),
            Type::U16 => quote!(u16),
            Type::U32 => quote!(u32),
            Type::U64 => quote!(u64),
            Type::S8 => quote!(i8),
            Type::S16 => quote!(i16),
            Type::S32 => quote!(i32),
            Type::S64 => quote!(i64),
            Type::F32 => quote!(f32),
            Type::F64 => quote!(f64),
            Type::Char => quote!(char),
            Type::String => quote!(::std::string::String),
            Type::ErrorContext => return self.refuse("error-context", None),
            Type::Id(id) => return self.by_id(*id, from),
        })
    }

    fn by_id(&self, id: TypeId, from: Option<InterfaceId>) -> Result<TokenStream> {
        let Some(def) = self.resolve.types.get(id) else { return self.refuse("an unknown type", None) };
        if let (Some(name), TypeOwner::Interface(owner)) = (&def.name, def.owner) {
            let name = camel(name);
            if Some(owner) == from {
                return Ok(quote!(#name));
            }
            let Some([a, b, c]) = self.path(owner) else {
                return self.refuse("a type of a nameless interface", Some(def.span));
            };
            let up = root_path(from);
            return Ok(quote!(#up #a::#b::#c::#name));
        }
        self.anonymous(def, from)
    }

    fn anonymous(&self, def: &TypeDef, from: Option<InterfaceId>) -> Result<TokenStream> {
        Ok(match &def.kind {
            TypeDefKind::List(Type::U8) => quote!(::theater_plugin_api::Bytes),
            TypeDefKind::List(item) => {
                let item = self.name(item, from)?;
                quote!(::std::vec::Vec<#item>)
            }
            TypeDefKind::Option(item) => {
                let item = self.name(item, from)?;
                quote!(::std::option::Option<#item>)
            }
            TypeDefKind::Result(result) => {
                let side = |ty: &Option<Type>| ty.as_ref().map_or(Ok(quote!(())), |ty| self.name(ty, from));
                let (ok, err) = (side(&result.ok)?, side(&result.err)?);
                quote!(::std::result::Result<#ok, #err>)
            }
            TypeDefKind::Tuple(tuple) => {
                let items = tuple.types.iter().map(|ty| self.name(ty, from)).collect::<Result<Vec<_>>>()?;
                if items.len() > LONGEST {
                    self.long_tuples.borrow_mut().insert(items.len());
                    let (up, name) = (root_path(from), tuple_name(items.len()));
                    return Ok(quote!(#up tuples::#name<#(#items,)*>));
                }
                quote!((#(#items,)*))
            }
            TypeDefKind::Type(ty) => self.name(ty, from)?,
            other => return self.refuse(other.as_str(), Some(def.span)),
        })
    }

    /// The type of a parameter of a function that is not async: text and bytes are borrowed from the arguments.
    pub fn borrowed(&self, ty: &Type, from: Option<InterfaceId>) -> Result<(TokenStream, Reading)> {
        Ok(match self.resolve_alias(ty) {
            Type::String => (quote!(&str), Reading::Text),
            Type::Id(id) => match self.resolve.types.get(id).map(|def| &def.kind) {
                Some(TypeDefKind::List(Type::U8)) => (quote!(&[u8]), Reading::Bytes),
                _ => (self.name(ty, from)?, Reading::Value),
            },
            _ => (self.name(ty, from)?, Reading::Value),
        })
    }

    /// An expression that maps `value`, a `&mut` of the type, to the bytes at the end of its encoding, as an
    /// `Option<&mut Bytes>`. `None` for a type that does not end with bytes.
    pub fn last_bytes(&self, ty: &Type) -> Option<TokenStream> {
        let Type::Id(id) = self.resolve_alias(ty) else { return None };
        Some(match &self.resolve.types.get(id)?.kind {
            TypeDefKind::List(Type::U8) => quote!(::std::option::Option::Some(value)),
            TypeDefKind::Option(some) => {
                let last = self.last_bytes(some)?;
                quote!(value.as_mut().and_then(|value| #last))
            }
            TypeDefKind::Result(result) => {
                let last = self.last_bytes(result.ok.as_ref()?)?;
                quote!(value.as_mut().ok().and_then(|value| #last))
            }
            TypeDefKind::Record(record) => {
                let field = record.fields.last()?;
                let (name, last) = (snake(&field.name), self.last_bytes(&field.ty)?);
                quote!({ let value = &mut value.#name; #last })
            }
            _ => return None,
        })
    }

    /// How a function with that result reports a fault; `case` applies to errors that are a variant or an enum.
    pub fn fault_report(&self, result: Option<&Type>, case: Option<&str>) -> FaultReport {
        let kind = |ty: &Type| match self.resolve_alias(ty) {
            Type::Id(id) => self.resolve.types.get(id).map(|def| &def.kind),
            _ => None,
        };
        let Some(TypeDefKind::Result(sides)) = result.and_then(kind) else { return FaultReport::None };
        let Some(error) = &sides.err else { return FaultReport::None };
        if self.resolve_alias(error) == Type::String {
            return FaultReport::Text;
        }
        let carries = |ty: &Option<Type>| ty.as_ref().is_none_or(|ty| self.resolve_alias(ty) == Type::String);
        let is_there = match kind(error) {
            Some(TypeDefKind::Variant(variant)) => {
                variant.cases.iter().any(|one| Some(one.name.as_str()) == case && carries(&one.ty))
            }
            Some(TypeDefKind::Enum(cases)) => cases.cases.iter().any(|one| Some(one.name.as_str()) == case),
            _ => false,
        };
        if is_there { FaultReport::Case } else { FaultReport::Impossible }
    }

    /// The path of the trait of the provided interface `written`, from the invocation's scope.
    pub fn trait_path(&self, id: InterfaceId, written: &str) -> Result<TokenStream> {
        let nameless = || Error::new(self.span, format!("{written} has no name"));
        let [namespace, package, interface] = self.path(id).ok_or_else(nameless)?;
        let name = self.trait_name(id, written)?;
        Ok(quote!(#namespace::#package::#interface::#name))
    }

    /// The name of the trait of the provided interface `written`: the interface's own name, with `Functions` appended
    /// if one of its types has that name.
    pub fn trait_name(&self, id: InterfaceId, written: &str) -> Result<proc_macro2::Ident> {
        let nameless = || Error::new(self.span, format!("{written} has no name"));
        let interface = self.resolve.interfaces.get(id).ok_or_else(nameless)?;
        let name = interface.name.as_ref().ok_or_else(nameless)?;
        let own = camel(name);
        let is_taken = interface.types.keys().any(|ty| camel(ty) == own);
        Ok(if is_taken { camel(&format!("{name}-functions")) } else { own })
    }

    /// The structs for long tuples.
    pub fn tuples(&self) -> TokenStream {
        let lengths = self.long_tuples.borrow();
        let structs = lengths.iter().map(|&length| {
            let (name, items) = (tuple_name(length), (0..length).map(|i| camel(&format!("t-{i}"))).collect::<Vec<_>>());
            let doc = format!("A tuple of {length} values, which is too long for the traits of the standard library.");
            let derive = derive();
            quote!(#[doc = #doc] #derive pub struct #name<#(#items),*>(#(pub #items),*);)
        });
        let structs: TokenStream = structs.collect();
        if structs.is_empty() {
            return structs;
        }
        quote! {
            /// Long tuples.
            #[allow(dead_code, missing_docs)]
            pub mod tuples { #structs }
        }
    }

    /// The type that an alias stands for.
    fn resolve_alias(&self, ty: &Type) -> Type {
        let mut ty = *ty;
        while let Type::Id(id) = ty {
            match self.resolve.types.get(id).map(|def| &def.kind) {
                Some(TypeDefKind::Type(next)) => ty = *next,
                _ => break,
            }
        }
        ty
    }

    /// The types that an interface declares.
    pub fn declarations(&self, id: InterfaceId, interface: &Interface) -> Result<TokenStream> {
        let mut all = TokenStream::new();
        for (name, ty) in &interface.types {
            if let Some(def) = self.resolve.types.get(*ty) {
                all.extend(self.declaration(name, def, id)?);
            }
        }
        Ok(all)
    }

    fn declaration(&self, name: &str, def: &TypeDef, from: InterfaceId) -> Result<TokenStream> {
        let text = docs(&def.docs, name);
        let ident = camel(name);
        let derive = derive();
        Ok(match &def.kind {
            TypeDefKind::Record(record) => {
                let mut fields = TokenStream::new();
                for field in &record.fields {
                    let (docs, name, ty) =
                        (docs(&field.docs, &field.name), snake(&field.name), self.name(&field.ty, Some(from))?);
                    fields.extend(quote!(#docs pub #name: #ty,));
                }
                quote!(#text #derive pub struct #ident { #fields })
            }
            TypeDefKind::Variant(variant) => {
                let mut cases = TokenStream::new();
                for case in &variant.cases {
                    let (docs, name) = (docs(&case.docs, &case.name), camel(&case.name));
                    let payload = case.ty.as_ref().map(|ty| self.name(ty, Some(from))).transpose()?;
                    let payload = payload.map(|ty| quote!((#ty)));
                    cases.extend(quote!(#docs #name #payload,));
                }
                quote!(#text #derive pub enum #ident { #cases })
            }
            TypeDefKind::Enum(cases) => {
                let cases = cases.cases.iter().map(|case| {
                    let (docs, name) = (docs(&case.docs, &case.name), camel(&case.name));
                    quote!(#docs #name)
                });
                quote!(#text #derive #[derive(Copy, Eq, Hash)] pub enum #ident { #(#cases,)* })
            }
            TypeDefKind::Flags(flags) => {
                let names: Vec<_> = flags.flags.iter().map(|flag| flag.name.as_str()).collect();
                flags_type(&text, &ident, &names)
            }
            TypeDefKind::Type(ty) => {
                let ty = self.name(ty, Some(from))?;
                quote!(#text pub type #ident = #ty;)
            }
            _ => {
                let ty = self.anonymous(def, Some(from))?;
                quote!(#text pub type #ident = #ty;)
            }
        })
    }
}

fn derive() -> TokenStream {
    quote! {
        #[derive(
            Debug, Clone, PartialEq,
            ::theater_plugin_api::__private::serde::Serialize, ::theater_plugin_api::__private::serde::Deserialize
        )]
        #[serde(crate = "::theater_plugin_api::__private::serde")]
    }
}

fn root_path(from: Option<InterfaceId>) -> TokenStream {
    if from.is_some() { quote!(super::super::super::) } else { quote!() }
}

fn tuple_name(length: usize) -> proc_macro2::Ident {
    camel(&format!("tuple{length}"))
}

fn flags_type(docs: &TokenStream, ident: &proc_macro2::Ident, names: &[&str]) -> TokenStream {
    let count = names.len();
    let bytes = count.div_ceil(8);
    let constants = names.iter().enumerate().map(|(bit, name)| {
        let constant = proc_macro2::Ident::new(&name.replace('-', "_").to_uppercase(), proc_macro2::Span::call_site());
        let doc = format!("`{name}`");
        quote! {
            #[doc = #doc]
            pub const #constant: Self = Self::only(#bit);
        }
    });
    quote! {
        #docs
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub struct #ident([u8; #bytes]);
        impl #ident {
            #(#constants)*
            const fn only(bit: usize) -> Self {
                let mut bits = [0; #bytes];
                bits[bit / 8] = 1 << (bit % 8);
                Self(bits)
            }
            /// No flag.
            #[must_use]
            pub const fn empty() -> Self {
                Self([0; #bytes])
            }
            /// Whether all flags of `other` are set.
            #[must_use]
            pub fn contains(&self, other: Self) -> bool {
                self.0.iter().zip(other.0).all(|(mine, theirs)| mine & theirs == theirs)
            }
        }
        impl ::std::ops::BitOr for #ident {
            type Output = Self;
            fn bitor(mut self, other: Self) -> Self {
                for (mine, theirs) in self.0.iter_mut().zip(other.0) {
                    *mine |= theirs;
                }
                self
            }
        }
        impl ::theater_plugin_api::__private::serde::Serialize for #ident {
            fn serialize<S: ::theater_plugin_api::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                ::theater_plugin_api::__private::serialize_flags(#count, &self.0, serializer)
            }
        }
        impl<'de> ::theater_plugin_api::__private::serde::Deserialize<'de> for #ident {
            fn deserialize<D: ::theater_plugin_api::__private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                ::theater_plugin_api::__private::deserialize_flags(#count, deserializer).map(Self)
            }
        }
    }
}

/// The docs in the WIT, or the name if there are none.
pub fn docs(docs: &Docs, name: &str) -> TokenStream {
    let text = docs.contents.clone().unwrap_or_else(|| format!("`{name}`"));
    let lines = text.lines().map(|line| format!(" {line}"));
    quote!(#(#[doc = #lines])*)
}
