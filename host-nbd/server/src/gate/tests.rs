//! The choice of the client that has to go, by a made-up clock.

use super::*;

/// A gate for three, and places in the order in which they were taken.
struct Scene {
    gate: Arc<Gate>,
    start: Instant,
    places: Vec<Place>,
}

impl Scene {
    /// Admits one newcomer at each of these milliseconds.
    fn new(arrivals: &[u64]) -> Self {
        let gate = Gate::new();
        let start = Instant::now();
        let mut scene = Self {
            gate,
            start,
            places: Vec::new(),
        };
        for at in arrivals {
            match scene.gate.admit(3, scene.at(*at)) {
                Admission::Free(place) => scene.places.push(place),
                other => panic!("{other:?}"),
            }
        }
        scene
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    /// Makes a client one that has spoken, with this turn, and that has waited so long
    /// before.
    fn spoken(&self, which: usize, turn: Turn, waited: u64) {
        self.places[which].spoke();
        self.places[which].with(|own| {
            own.turn = turn;
            own.waited = Duration::from_millis(waited);
        });
    }

    /// Which of the places had to go for one more newcomer.
    fn shed(&self, at: u64) -> Option<usize> {
        let admission = self.gate.admit(3, self.at(at));
        let gone = |place: &&Place| !self.gate.entries().table.contains_key(&place.number);
        let gone: Vec<_> = self.places.iter().filter(gone).map(Place::number).collect();
        match (&admission, &gone[..]) {
            (Admission::Refused, []) => None,
            (Admission::Instead(_), [one]) => Some(usize::try_from(*one).unwrap()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_newest_of_the_long_silent_goes() {
    assert_eq!(Scene::new(&[0, 500, 1500]).shed(2000), Some(1));
    assert_eq!(Scene::new(&[0, 500, 1000]).shed(2000), Some(2));
}

#[test]
fn without_a_long_silent_one_it_is_the_oldest_that_is_silent() {
    assert_eq!(Scene::new(&[0, 500, 700]).shed(900), Some(0));
    let scene = Scene::new(&[0, 500, 700]);
    let now = Turn::Client(scene.at(900));
    scene.spoken(0, now, 0);
    assert_eq!(scene.shed(900), Some(1));
}

#[test]
fn nobody_goes_who_is_in_the_middle_of_it() {
    let scene = Scene::new(&[0, 100, 200]);
    let now = scene.at(900);
    scene.spoken(0, Turn::Client(now), 30);
    scene.spoken(1, Turn::Export(now), 40);
    scene.spoken(2, Turn::Client(now), 0);
    assert_eq!(scene.shed(900), None);
}

#[test]
fn who_says_a_little_and_no_more_goes_when_there_is_nobody_worse() {
    let scene = Scene::new(&[0, 100, 200]);
    scene.spoken(0, Turn::Client(scene.at(850)), 0);
    scene.spoken(1, Turn::Client(scene.at(600)), 0);
    scene.spoken(2, Turn::Export(scene.at(300)), 0);
    assert_eq!(scene.shed(900), Some(1));
}

#[test]
fn who_talks_slowly_goes_before_who_was_just_silent() {
    let scene = Scene::new(&[0, 0, 4900]);
    let soon = Turn::Client(scene.at(4990));
    // Bytes come all the time, but the total waiting time counts.
    scene.spoken(0, soon, 2000);
    scene.spoken(1, soon, 4000);
    assert_eq!(scene.shed(5000), Some(1));
}

#[test]
fn who_waits_for_an_export_makes_nobody_wait() {
    let scene = Scene::new(&[0, 0, 0]);
    scene.spoken(0, Turn::Export(scene.at(10)), 10);
    scene.spoken(1, Turn::Export(scene.at(2000)), 10);
    scene.spoken(2, Turn::Client(scene.at(9000)), 1000);
    assert_eq!(scene.shed(9001), Some(2), "a slow one goes first");
    let scene = Scene::new(&[0, 0, 8500]);
    scene.spoken(0, Turn::Export(scene.at(10)), 10);
    scene.spoken(1, Turn::Export(scene.at(2000)), 10);
    assert_eq!(scene.shed(9000), Some(1), "then who came to an export last");
    let scene = Scene::new(&[0, 0, 8500]);
    scene.spoken(0, Turn::Export(scene.at(8100)), 10);
    scene.spoken(1, Turn::Export(scene.at(8200)), 10);
    assert_eq!(scene.shed(9000), Some(2), "nobody has been at one for long");
}

#[test]
fn turns_are_added_up() {
    let scene = Scene::new(&[0]);
    let place = &scene.places[0];
    place.with(|own| own.turn = Turn::Client(Instant::now() - Duration::from_secs(3)));
    place.exports_turn();
    let waited = |place: &Place| place.gate.entries().table[&place.number].waited(Instant::now());
    assert!(waited(place) >= Duration::from_secs(3));
    place.with(|own| own.turn = Turn::Export(Instant::now() - Duration::from_secs(60)));
    place.clients_turn();
    assert!(waited(place) < Duration::from_secs(50));
}

#[test]
fn a_place_ends_with_its_owner_and_takes_no_other_with_it() {
    let mut scene = Scene::new(&[0, 0, 0]);
    assert_eq!(scene.shed(1500), Some(2));
    // The newcomer has left again, and the one that had to go follows.
    assert_eq!(scene.gate.entries().table.len(), 2);
    scene.places.truncate(1);
    assert_eq!(scene.gate.entries().table.len(), 1);
}

#[test]
fn those_served_have_a_limit_of_their_own() {
    let gate = Gate::new();
    let (one, two) = (gate.serve(2), gate.serve(2));
    assert!(one.is_some() && two.is_some());
    assert!(gate.serve(2).is_none());
    // The limit may change while connections are served.
    assert!(gate.serve(3).is_some());
    assert!(gate.serve(1).is_none());
    drop(one);
    assert!(gate.serve(2).is_some());
    assert!(gate.serve(0).is_none());
}
