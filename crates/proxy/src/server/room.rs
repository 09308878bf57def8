//! Room for so many connections: when all of it is taken, the one that idles longest gives its
//! place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The places that there are.
#[derive(Debug)]
pub(super) struct Room {
    state: Mutex<State>,
    /// Rung when a place is free, or may be taken from a connection that idles.
    bell: Notify,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// How many were told to leave, and have not left.
    leaving: usize,
    /// Gives each spell of idling a number, in the order of their beginnings.
    spells: u64,
    idle: BTreeMap<u64, Arc<Notify>>,
}

/// The place of one connection, which begins idle; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    /// Its number while it idles and was not told to leave.
    spell: Option<u64>,
    told: bool,
    leave: Arc<Notify>,
}

impl Room {
    pub(super) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                free: places,
                leaving: 0,
                spells: 0,
                idle: BTreeMap::new(),
            }),
            bell: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place, and tells the connection that idles longest to leave if there is no other.
    /// There is one who waits at a time.
    pub(super) async fn enter(self: &Arc<Self>) -> Place {
        loop {
            if let Some(place) = self.try_enter() {
                return place;
            }
            self.bell.notified().await;
        }
    }

    fn try_enter(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.lock();
        if state.free == 0 {
            if state.leaving == 0
                && let Some((_, leave)) = state.idle.pop_first()
            {
                state.leaving += 1;
                leave.notify_one();
            }
            return None;
        }
        state.free -= 1;
        let leave = Arc::new(Notify::new());
        let spell = state.begin_spell(&leave);
        drop(state);
        Some(Place {
            room: self.clone(),
            spell: Some(spell),
            told: false,
            leave,
        })
    }
}

impl State {
    fn begin_spell(&mut self, leave: &Arc<Notify>) -> u64 {
        let spell = self.spells;
        self.spells += 1;
        self.idle.insert(spell, leave.clone());
        spell
    }

    /// Whether it has idled until now, and was not told to leave.
    fn end_spell(&mut self, spell: u64) -> bool {
        self.idle.remove(&spell).is_some()
    }
}

impl Place {
    /// Rung when the connection has to leave.
    pub(super) fn leave(&self) -> Arc<Notify> {
        self.leave.clone()
    }

    /// A request has come. False when the connection was told to leave a moment ago: then nothing
    /// may be done for it any more.
    pub(super) fn busy(&mut self) -> bool {
        if let Some(spell) = self.spell.take() {
            self.told |= !self.room.lock().end_spell(spell);
        }
        !self.told
    }

    /// The request is over.
    pub(super) fn idle(&mut self) {
        if self.spell.is_none() && !self.told {
            self.spell = Some(self.room.lock().begin_spell(&self.leave));
            self.room.bell.notify_one();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.busy();
        let mut state = self.room.lock();
        state.free += 1;
        state.leaving -= usize::from(self.told);
        drop(state);
        self.room.bell.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn is_told(place: &Place) -> bool {
        let leave = place.leave();
        pin!(leave.notified())
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[tokio::test]
    async fn the_longest_idle_makes_room_and_the_busy_stay() {
        let room = Room::new(3);
        let mut first = room.enter().await;
        let second = room.enter().await;
        let third = room.enter().await;
        assert!(first.busy());
        assert!(room.try_enter().is_none());
        assert!(room.try_enter().is_none());
        assert_eq!([&first, &second, &third].map(is_told), [false, true, false]);
        drop(second);
        let mut fourth = room.try_enter().unwrap();
        // Idle since now, so the third goes before it.
        first.idle();
        assert!(room.try_enter().is_none());
        assert_eq!([&first, &third, &fourth].map(is_told), [false, true, false]);
        let mut third = third;
        assert!(!third.busy(), "it was told to leave");
        drop(third);
        let mut fifth = room.try_enter().unwrap();
        assert!(first.busy() && fourth.busy() && fifth.busy());
        assert!(room.try_enter().is_none());
        assert_eq!([&first, &fourth, &fifth].map(is_told), [false; 3]);
    }

    #[tokio::test]
    async fn who_waits_gets_the_place_of_who_becomes_idle() {
        let room = Room::new(1);
        let mut first = room.enter().await;
        assert!(first.busy());
        let mut entering = pin!(room.enter());
        let context = &mut Context::from_waker(Waker::noop());
        assert!(entering.as_mut().poll(context).is_pending());
        first.idle();
        assert!(entering.as_mut().poll(context).is_pending());
        assert!(is_told(&first));
        drop(first);
        assert!(entering.as_mut().poll(context).is_ready());
    }
}
