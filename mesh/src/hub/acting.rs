//! What a channel's tree decides is told to those whom it concerns.

use tiercast_codec::{
    Assign, Away, ChannelId, ChannelName, Expect, LinkId, Lost, PeerId, Place as PlaceMessage, ToPeer,
};

use super::{
    Hub, Timer,
    tickets::Ends,
    tree::{Action, Context, Tree},
    whereabouts::Nearness,
};

impl Hub {
    /// Lets a channel's tree act, and tells peers what came of it.
    pub(super) fn with_tree(&mut self, id: ChannelId, act: impl FnOnce(&mut Tree, &mut Context<'_>)) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let mut context = Context {
            config: &self.config,
            tickets: &self.tickets,
            reputation: &mut self.reputation,
            last_link: &mut self.last_link,
            channel: &channel.name,
        };
        act(&mut channel.tree, &mut context);
        match channel.tree.poll_timeout() {
            Some(due) => self.timers.set(Timer::Tree(id), due),
            None => self.timers.clear(Timer::Tree(id)),
        }
        let (name, actions) = (channel.name.clone(), channel.tree.take_actions());
        for action in actions {
            self.apply(id, &name, action);
        }
    }

    fn apply(&mut self, id: ChannelId, name: &ChannelName, action: Action) {
        let channel = name.clone();
        match action {
            Action::Link { link, parent, child, standby } => {
                self.links.insert(link, id);
                self.count_link(id, parent, child);
                let ends = Ends { link, parent, child };
                let (token, via) = (self.tickets.of_link(name, ends), self.share(id, ends));
                // The child wants the link, so it makes the offer.
                let expect = Expect { channel: channel.clone(), link, child, token, offers: false, via };
                self.tell(id, parent, ToPeer::Expect(expect));
                let assign = Assign { channel, link, parent, token, offers: true, standby, via };
                self.tell(id, child, ToPeer::Assign(assign));
            }
            Action::Lost { peer, link, code } => {
                self.tell(id, peer, ToPeer::Lost(Lost { link, code }));
            }
            Action::Away { peer, link } => self.tell(id, peer, ToPeer::Away(Away { link })),
            Action::Adopted(ends) => {
                self.links.insert(ends.link, id);
                self.sharing.add(ends, self.now);
                self.count(id, |stats| stats.adopted += 1);
            }
            Action::Up(ends) => self.sharing.add(ends, self.now),
            Action::NotShared(ends) => self.sharing.distrust(ends),
            Action::Placed { peer, tier } => {
                self.tell(id, peer, ToPeer::Place(PlaceMessage { channel, tier }));
            }
            Action::Moved => self.count(id, |stats| stats.moves += 1),
            Action::Ended(ends) => {
                self.sharing.remove(ends);
                self.count(id, |stats| stats.links_lost += 1);
            }
            Action::Forgotten(link) => drop(self.links.remove(&link)),
            Action::Accused => self.count(id, |stats| stats.accusations += 1),
            Action::Suspended => self.count(id, |stats| stats.suspensions += 1),
        }
    }

    /// Counts a link, and how near its ends are to each other.
    fn count_link(&mut self, id: ChannelId, parent: PeerId, child: PeerId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let stats = &mut channel.stats;
        stats.links += 1;
        match channel.tree.nearness(parent, child) {
            Nearness::SameNetwork => stats.links_in_one_network += 1,
            Nearness::Apart(km) => {
                stats.links_located += 1;
                stats.links_km += u64::from(km);
            }
            Nearness::Unknown => {}
        }
    }

    /// A link begins. Gives another one between the two, whose connection it shares, if there is one: up, or being set up,
    /// and then what becomes of that becomes of both.
    fn share(&mut self, id: ChannelId, ends: Ends) -> Option<LinkId> {
        let other = self.sharing.between(ends);
        self.sharing.add(ends, self.now + self.config.link_setup);
        let (via, up) = other?;
        self.count(id, |stats| stats.links_shared += 1);
        if let Some(channel) = self.channels.get_mut(&id).filter(|_| up <= self.now) {
            channel.tree.relies_on_another(ends.link);
        }
        Some(via)
    }
}
