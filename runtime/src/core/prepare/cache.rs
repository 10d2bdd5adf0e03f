//! A cache of prepared manifests: most actors start from a manifest that another actor started from.
//!
//! The key is a digest of everything a manifest is read from, together with the ceilings. The component file is not
//! part of the key: a hit is used only when the component still has the same digest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use crate::actor::lock;
use crate::core::prepared::Prepared;
use crate::manifest::{Ceilings, Limits, Manifest};

/// Capacity in manifests. A full cache is cleared, so that actors that generate manifests cannot grow it.
const CAPACITY: usize = 1_000;

/// Longest manifest text that is cached, in bytes.
const MAX_TEXT: usize = 16 * 1024;

/// A manifest and what was prepared from it.
pub(super) type PreparedManifest = (Arc<Manifest>, Arc<Prepared>);

/// Digest of everything a manifest is read from.
pub(super) type SourceDigest = [u8; 32];

/// Prepared manifests by source_digest and ceilings.
#[derive(Default)]
pub(in crate::core) struct PreparedCache(Mutex<HashMap<SourceDigest, Vec<(Ceilings, PreparedManifest)>>>);

/// Returns the cache key of a manifest: its path, folder, text and component, and its limits where the parent's
/// limits reduced them. Returns nothing for a manifest too long to cache.
pub(super) fn source_digest(manifest: &Manifest, bounded: Option<&Limits>) -> Option<SourceDigest> {
    let [path, folder] = [&manifest.path, &manifest.folder].map(|path| path.as_os_str().as_encoded_bytes());
    let mut hasher = Sha256::new();
    let kept = manifest.kept.as_deref().unwrap_or_default().as_bytes();
    for part in [path, folder, manifest.text.as_bytes(), kept] {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    for (_, limit) in bounded.iter().flat_map(|limits| limits.list()) {
        hasher.update(limit.to_le_bytes());
    }
    (manifest.text.len() <= MAX_TEXT).then(|| hasher.finalize().into())
}

impl PreparedCache {
    /// Returns what was prepared from that source_digest under these ceilings.
    pub(super) fn get(&self, source_digest: SourceDigest, ceilings: &Ceilings) -> Option<PreparedManifest> {
        let known = lock(&self.0);
        let (_, ready) = known.get(&source_digest)?.iter().find(|(under, _)| under == ceilings)?;
        Some(ready.clone())
    }

    /// Adds or replaces an entry.
    pub(super) fn insert(&self, source_digest: SourceDigest, ceilings: &Ceilings, ready: &PreparedManifest) {
        let mut known = lock(&self.0);
        if known.values().map(Vec::len).sum::<usize>() >= CAPACITY {
            known.clear();
        }
        let all = known.entry(source_digest).or_default();
        all.retain(|(under, _)| under != ceilings);
        all.push((ceilings.clone(), ready.clone()));
    }

    /// Removes all entries.
    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }
}
