//! One who reads a channel: a cursor of the hub, as the rest of the program holds it.

use std::sync::Arc;

use tiercast_codec::{PatternSet, Position};
use tiercast_mesh::hub::{Opening, Portion, ReaderId, Reading, Refusal};

use super::{
    command::{Change, Command, Inlet, Outlet},
    handle::Handle,
};
use crate::stopped::Stopped;

/// Portions that wait for a reader; when so many do, its cursor waits in the hub. They are references to what the log
/// holds: what falls out of the log meanwhile is kept alive for those that wait for it.
const QUEUE_PORTIONS: usize = 4;

/// Reads a channel from some position on. Dropping it ends that.
#[derive(Debug)]
pub struct Reader {
    place: Place,
    opening: Opening,
    inlet: Inlet<Portion>,
    /// The driver waits to hear that there is room.
    has_room: bool,
}

/// What the driver knows a reader by, from before it is asked to open one. Dropping it ends that, also where nobody waits for the
/// answer any more.
#[derive(Debug)]
struct Place {
    id: ReaderId,
    handle: Handle,
}

impl Handle {
    /// Reads a channel.
    pub async fn read(&self, reading: Reading) -> Result<Reader, Refusal> {
        let place = Place { id: self.next_reader(), handle: self.clone() };
        let (outlet, inlet) = Outlet::new(QUEUE_PORTIONS);
        let opening = self.ask(|reply| Command::Read { reader: place.id, reading, outlet, reply }).await??;
        Ok(Reader { place, opening, inlet, has_room: false })
    }
}

impl Reader {
    /// Where it began.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Waits for what comes next; or there will be no more, and why. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<Portion, Refusal> {
        if self.has_room {
            self.place.handle.send(Command::ReaderWritable(self.place.id)).await?;
            self.has_room = false;
        }
        let Some(portion) = self.inlet.messages.queue.recv().await else {
            return Err(self.inlet.closing.try_recv().unwrap_or_else(|_| Stopped.into()));
        };
        self.has_room |= self.inlet.messages.has_room_again();
        Ok(portion)
    }

    /// Wants other events from now on. Says after which position that is.
    pub async fn filter(&self, filter: Arc<PatternSet>) -> Result<Position, Stopped> {
        self.change(Change::Filter(filter)).await
    }

    /// Wants nothing until [`Reader::resume`], beside what is under way. Says where it will go on.
    pub async fn pause(&self) -> Result<Position, Stopped> {
        self.change(Change::Pause(true)).await
    }

    /// Goes on where it paused. Says where that is.
    pub async fn resume(&self) -> Result<Position, Stopped> {
        self.change(Change::Pause(false)).await
    }

    async fn change(&self, change: Change) -> Result<Position, Stopped> {
        let Place { id, handle } = &self.place;
        let position = handle.ask(|reply| Command::ChangeReader(*id, change, reply)).await?;
        position.ok_or(Stopped)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.handle.say(Command::ReaderClosed(self.id));
    }
}
