//! Records snapshots: the state of the actor and of its handlers, from which a resume can begin.

use theater_plugin_api::Bytes;
use theater_plugin_api::abi::OK;

use crate::actor::lock;
use crate::core::task::ActorTask;
use crate::manifest::InstanceMode;

impl ActorTask {
    /// Records a snapshot when enough events were recorded since the last one.
    ///
    /// An actor with a kept instance takes no snapshots, since linear memory is not part of one. A new instance begins
    /// at each snapshot, so what follows depends on the recorded state alone.
    pub(super) fn snapshot_if_due(&mut self, newest: u64) {
        let settings = &self.handle.settings;
        let is_stopping = || lock(&self.handle.stop).is_some();
        if newest < self.snapshot_due || settings.instance == InstanceMode::Kept || is_stopping() {
            return;
        }
        self.snapshot_due = newest.saturating_add(settings.snapshot_every);
        self.renew("snapshot");
        let mut exported = Vec::with_capacity(self.handlers.len());
        for attached in self.handlers.iter() {
            let answer = {
                let _watched = self.core.watch.enter(self.handle.id(), &attached.plugin);
                attached.handler.get().export_state()
            };
            if answer.status != OK {
                let sentence = format!("no snapshot: its state could not be exported: {}", answer.sentence());
                self.handle.report_fault(&attached.plugin.descriptor.name, "P0112", &sentence);
                return;
            }
            exported.push(Bytes::from(answer.bytes.to_vec()));
        }
        if let Err(error) = self.handle.record_snapshot(self.state.get(), &exported) {
            tracing::error!(actor = self.handle.short_id(), "a snapshot could not be recorded: {error}");
        }
    }
}
