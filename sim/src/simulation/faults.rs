//! Faults strike and relent.

use std::{collections::BTreeSet, time::Duration};

use super::{Plan, Simulation};
use crate::{
    fault::{Fault, FaultKind, below},
    liar::{Lie, accusation},
    net::channel,
};

/// How long a server is away when it restarts.
const RESTART: Duration = Duration::from_secs(1);

/// How often those that flap do so.
const FLAP_EVERY: Duration = Duration::from_secs(3);

impl Simulation<'_> {
    pub(super) fn strike(&mut self, number: usize) {
        let fault = self.scenario.faults[number];
        if fault.kind == FaultKind::Restart {
            return self.restart();
        }
        let victims = fault.victims(&mut self.net);
        match fault.kind {
            FaultKind::Blink => self.struck(victims.iter().copied().collect(), &[]),
            _ => self.struck(below(&self.net, &victims), &victims),
        }
        if let Some(cut) = fault.cut(&victims) {
            self.net.cut(cut);
        }
        for node in &victims {
            if fault.is_final() {
                self.go(fault.kind, *node);
            } else {
                fault.strike(&mut self.net, *node);
            }
        }
        if !fault.is_final() && fault.for_s > 0.0 {
            self.last(number, &fault, victims);
        }
    }

    /// What is late for the victims, and for those whom another fault holds up, says nothing of this one.
    fn struck(&mut self, affected: BTreeSet<u64>, victims: &[u64]) {
        let apart = self.excused.iter().chain(victims).copied().collect();
        self.measures.struck(self.net.now, affected, &apart);
    }

    fn restart(&mut self) {
        self.struck(self.net.nodes.keys().copied().collect(), &[]);
        let stats = self.net.hub.channel_stats(&channel()).unwrap_or_default();
        self.sums.add_hub(stats, &self.net.hub.spending());
        self.net.stop_server();
        self.agenda.plan(self.net.now + RESTART, Plan::ServerBack);
    }

    /// A fault that does not pass at once.
    fn last(&mut self, number: usize, fault: &Fault, victims: Vec<u64>) {
        self.victims[number] = victims;
        self.agenda.plan(self.net.now + fault.lasts(), Plan::Relent(number));
        if fault.kind == FaultKind::Flap {
            self.agenda.plan(self.net.now + FLAP_EVERY, Plan::Flap(number));
        }
        self.excuse();
    }

    pub(super) fn relent(&mut self, number: usize) {
        let fault = self.scenario.faults[number];
        for node in std::mem::take(&mut self.victims[number]) {
            fault.relent(&mut self.net, node);
        }
        self.excuse();
    }

    /// Those that flap do so again, until the fault relents.
    pub(super) fn flap(&mut self, number: usize) {
        let victims = self.victims[number].clone();
        for node in &victims {
            self.scenario.faults[number].strike(&mut self.net, *node);
        }
        if !victims.is_empty() {
            self.agenda.plan(self.net.now + FLAP_EVERY, Plan::Flap(number));
        }
    }

    /// Nobody is blamed for what it lacks while a fault that excuses it lasts.
    pub(super) fn excuse(&mut self) {
        let lasting = self.scenario.faults.iter().zip(&self.victims).filter(|(fault, _)| fault.excuses());
        let victims = lasting.flat_map(|(_, victims)| victims.iter().copied());
        // Whoever promised what its line cannot carry cannot even ask for what it lacks.
        self.excused = victims.chain(self.gang.who(Lie::Promise)).collect();
    }

    /// Those who accuse do so.
    pub(super) fn accuse(&mut self) {
        for node in self.gang.who(Lie::Accuse) {
            for link in self.net.links_of(node) {
                self.net.tell(node, accusation(link));
            }
        }
    }
}
