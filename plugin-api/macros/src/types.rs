//! Rust types of WIT types, as text in tokens.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Result};
use wit_parser::{Docs, Interface, InterfaceId, Resolve, Type, TypeDef, TypeDefKind, TypeId, TypeOwner};

use crate::names::{camel, snake};

/// How a parameter is read from the arguments.
#[derive(Clone, Copy, PartialEq)]
pub enum Reading {
    /// Decoded into a value of its own.
    Value,
    /// Borrowed text.
    Text,
    /// Borrowed bytes.
    Bytes,
}

pub struct Types<'a> {
    pub resolve: &'a Resolve,
    pub span: proc_macro2::Span,
}

impl Types<'_> {
    fn refuse<T>(&self, what: &str) -> Result<T> {
        Err(Error::new(self.span, format!("{what} cannot cross the plugin boundary")))
    }

    /// The module of an interface: (namespace, package, interface).
    pub fn path(&self, id: InterfaceId) -> Option<[proc_macro2::Ident; 3]> {
        let interface = self.resolve.interfaces.get(id)?;
        let package = self.resolve.packages.get(interface.package?)?;
        Some([snake(&package.name.namespace), snake(&package.name.name), snake(interface.name.as_ref()?)])
    }

    /// A type as it is written from inside `from` (an interface's module), or from the invocation's scope.
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
            Type::ErrorContext => return self.refuse("error-context"),
            Type::Id(id) => return self.by_id(*id, from),
        })
    }

    fn by_id(&self, id: TypeId, from: Option<InterfaceId>) -> Result<TokenStream> {
        let Some(def) = self.resolve.types.get(id) else { return self.refuse("an unknown type") };
        if let (Some(name), TypeOwner::Interface(owner)) = (&def.name, def.owner) {
            let name = camel(name);
            if Some(owner) == from {
                return Ok(quote!(#name));
            }
            let Some([a, b, c]) = self.path(owner) else { return self.refuse("a type of a nameless interface") };
            let up = if from.is_some() { quote!(super::super::super::) } else { quote!() };
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
                quote!((#(#items,)*))
            }
            TypeDefKind::Type(ty) => self.name(ty, from)?,
            other => return self.refuse(other.as_str()),
        })
    }

    /// How a function that is not async takes a parameter: text and bytes are borrowed from the arguments.
    pub fn borrowed(&self, ty: &Type, from: Option<InterfaceId>) -> Result<(TokenStream, Reading)> {
        Ok(match self.seen_through(ty) {
            Type::String => (quote!(&str), Reading::Text),
            Type::Id(id) => match self.resolve.types.get(id).map(|def| &def.kind) {
                Some(TypeDefKind::List(Type::U8)) => (quote!(&[u8]), Reading::Bytes),
                _ => (self.name(ty, from)?, Reading::Value),
            },
            _ => (self.name(ty, from)?, Reading::Value),
        })
    }

    /// From `value`, a `&mut` of the type, to the bytes at the end of its encoding: an `Option<&mut Bytes>`. Nothing for
    /// a type that does not end with bytes.
    pub fn last_bytes(&self, ty: &Type) -> Option<TokenStream> {
        let Type::Id(id) = self.seen_through(ty) else { return None };
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

    /// The type behind aliases.
    fn seen_through(&self, ty: &Type) -> Type {
        let mut ty = *ty;
        while let Type::Id(id) = ty {
            match self.resolve.types.get(id).map(|def| &def.kind) {
                Some(TypeDefKind::Type(next)) => ty = *next,
                _ => break,
            }
        }
        ty
    }

    /// The types an interface declares.
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
        let derive = quote! {
            #[derive(
                Debug, Clone, PartialEq,
                ::theater_plugin_api::__private::serde::Serialize, ::theater_plugin_api::__private::serde::Deserialize
            )]
            #[serde(crate = "::theater_plugin_api::__private::serde")]
        };
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

/// The WIT's docs, or the name where it has none.
pub fn docs(docs: &Docs, name: &str) -> TokenStream {
    let text = docs.contents.clone().unwrap_or_else(|| format!("`{name}`"));
    let lines = text.lines().map(|line| format!(" {line}"));
    quote!(#(#[doc = #lines])*)
}
