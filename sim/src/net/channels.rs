//! Networks with more channels than the first. A server that restarts has none of them.

use tiercast_codec::{ChannelName, Message, Position, Since};
use tiercast_mesh::{SourceUpdate, hub, peer};

use super::{FIRST_EPOCH, Net, views::offset};

impl Net {
    /// Another channel, open and empty.
    pub fn add_channel(&mut self, name: &str) -> ChannelName {
        let name: ChannelName = name.parse().expect("a name");
        self.hub.add_channel(self.now, &name).expect("a new channel");
        self.more_channels.push(name.clone());
        self.update(&name, SourceUpdate::Opened(Position::new(FIRST_EPOCH, -1)));
        name
    }

    /// A node subscribes to one more, to all that there is of it.
    pub fn subscribe_to(&mut self, node: u64, channel: &ChannelName) {
        self.peer(node, peer::Input::Subscribe { channel: channel.clone(), since: Since::Earliest });
    }

    /// Publishes messages with these bodies.
    pub fn publish_in(&mut self, channel: &ChannelName, bodies: impl IntoIterator<Item = Vec<u8>>) {
        let message = |body: Vec<u8>| Message { body: body.into(), ..Message::default() };
        self.update(channel, SourceUpdate::Messages(bodies.into_iter().map(message).collect()));
    }

    /// The offsets that a node's application got in one of them.
    pub fn offsets_in(&self, node: u64, channel: &ChannelName) -> Vec<i64> {
        let deliveries = self.nodes[&node].more_deliveries.get(channel).into_iter().flatten();
        deliveries.filter_map(offset).collect()
    }

    fn update(&mut self, channel: &ChannelName, update: SourceUpdate) {
        self.hub.handle(self.now, hub::Input::Source(channel, update)).expect("a source in order");
        self.drain_hub();
    }
}
