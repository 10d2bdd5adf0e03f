//! Checks that costs grow linearly: B1 to B4 with 10, 100, 1,000 and 10,000 running actors, on one page.
//!
//! `-- "linear"` runs all four and draws `theater-bench/linear.svg` in cargo's target folder. `-- "linear" --quick`
//! measures 10 and 100 once and draws `theater-bench/linear-quick.svg`. Every figure comes from a separate process. The
//! work is the same at every size, so that a cost that does not depend on the number of actors is a horizontal line.
//!
//! Senders and receivers are drawn at random from all running actors. Each has been both before the measurement. The
//! instances of 10,000 actors do not all fit into the pool, so that the figure includes the cost of new instances.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use hdrhistogram::Histogram;
use serde_json::json;
use theater_plugin_api::testing::Seeded;
use theater_runtime::actor::ActorHandle;
use theater_runtime::core::Core;
use theater_runtime::support::executor::{block_on, spawn};
use theater_tests::bench::{Only, Row, median, time};
use theater_tests::plot::{self, Chart, Point, figure};
use theater_tests::{Scratch, build_folder};

use crate::guest::{close, go, message, open, started, told};
use crate::part;
use crate::starts::{TASKS, start_and_stop, together};

/// A measurement that is made at every size.
struct Case {
    part: &'static str,
    title: &'static str,
    unit: &'static str,
    /// What the part counts, and how many of these are one `unit`.
    counts: &'static str,
    scale: f64,
    one_core: bool,
}

const CASES: [Case; 4] = [
    Case {
        part: "starts-beside",
        title: "B1 start and stop of an actor",
        unit: "us an actor",
        counts: "ns",
        scale: 1e3,
        one_core: false,
    },
    Case {
        part: "idle",
        title: "B2 memory of an idle actor",
        unit: "KiB of PSS an actor",
        counts: "bytes",
        scale: 1024.0,
        one_core: false,
    },
    Case {
        part: "sends-among",
        title: "B3 one-way message",
        unit: "us a message",
        counts: "ns",
        scale: 1e3,
        one_core: true,
    },
    Case {
        part: "requests-among",
        title: "B4 request and reply",
        unit: "us, p50",
        counts: "ns",
        scale: 1e3,
        one_core: false,
    },
];

/// The largest allowed cost at the largest size, as a multiple of the cost at the base size.
const MUST: f64 = 3.0;
const GOAL: f64 = 1.5;

/// The sizes to measure, the number of rounds, and the base size that others are compared with.
struct Plan {
    sizes: &'static [usize],
    rounds: usize,
    base: usize,
}

const WHOLE: Plan = Plan { sizes: &[10, 100, 1_000, 10_000], rounds: 5, base: 100 };
const QUICK: Plan = Plan { sizes: &[10, 100], rounds: 1, base: 10 };

/// The figures of a case: for each size, one per round.
type Figures = Vec<(usize, Vec<f64>)>;

pub fn linear(only: &Only) -> Vec<Row> {
    if !only.has("linear") {
        return Vec::new();
    }
    let plan = if only.quick { QUICK } else { WHOLE };
    let measured = CASES.map(|case| {
        let figures = case.measure(&plan, only.quick);
        case.print(&figures);
        (case, figures)
    });
    let path = page_path(only.quick);
    std::fs::create_dir_all(path.parent().expect("a page is in a folder")).expect("the page's folder can be made");
    std::fs::write(&path, page(&plan, &measured)).expect("the page can be written");
    println!("page: {}", path.display());
    measured.iter().map(|(case, figures)| case.row(&plan, figures)).collect()
}

fn page_path(quick: bool) -> PathBuf {
    let target = build_folder().parent().expect("a profile's folder is in the target folder");
    target.join("theater-bench").join(if quick { "linear-quick.svg" } else { "linear.svg" })
}

fn page(plan: &Plan, measured: &[(Case, Figures)]) -> String {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let note = format!(
        "Points: medians (rounds: {}, profile: {profile}); bars: from the least to the most; dashed: what it costs with {} actors.",
        plan.rounds,
        figure(plan.base as f64)
    );
    let charts: Vec<_> = measured.iter().map(|(case, figures)| case.chart(plan, figures)).collect();
    plot::page("Cost as the number of actors grows", &note, "actors alive at once", &charts)
}

impl Case {
    /// Measures all sizes in each round, so that a slow phase of the machine does not affect a single size.
    fn measure(&self, plan: &Plan, quick: bool) -> Figures {
        let mut figures: Figures = plan.sizes.iter().map(|size| (*size, Vec::new())).collect();
        for _ in 0..plan.rounds {
            for (size, rounds) in &mut figures {
                rounds.push(part(self.part, *size, quick, self.one_core).as_f64().expect("a figure"));
            }
        }
        figures
    }

    fn points(&self, figures: &Figures) -> Vec<Point> {
        let point = |(size, rounds): &(usize, Vec<f64>)| {
            let scaled: Vec<f64> = rounds.iter().map(|figure| figure / self.scale).collect();
            let (min, max) = scaled.iter().fold((f64::MAX, 0.0), |(min, max), one| (one.min(min), one.max(max)));
            Point { x: *size as f64, median: median(scaled), min, max }
        };
        figures.iter().map(point).collect()
    }

    fn print(&self, figures: &Figures) {
        let (title, unit) = (self.title, self.unit);
        for Point { x, median, min, max } in self.points(figures) {
            let name = format!("linear {title}, {} actors", figure(x));
            println!("{name:<52} {:>8} {unit} ({} to {})", figure(median), figure(min), figure(max));
            println!("{}", json!({"bench": name, "unit": unit, "actors": x, "median": median, "min": min, "max": max}));
        }
    }

    fn row(&self, plan: &Plan, figures: &Figures) -> Row {
        let of = |size: usize| figures.iter().find(|(measured, _)| *measured == size).map(|(_, rounds)| rounds.clone());
        let most = plan.sizes.last().copied().expect("a plan has sizes");
        let [base, last] = [plan.base, most].map(|size| of(size).expect("it was measured"));
        let [most, few] = [most, plan.base].map(|size| figure(size as f64));
        let name = format!("linear {}, {most} / {few} actors ({})", self.title, self.counts);
        Row { name, rounds: base.into_iter().zip(last).collect(), must: MUST, goal: GOAL }
    }

    fn chart(&self, plan: &Plan, figures: &Figures) -> Chart {
        let points = self.points(figures);
        let base = points.iter().find(|point| point.x == plan.base as f64).expect("the base was measured");
        let [most, base_size] = [points.last().map_or(0.0, |point| point.x), base.x].map(figure);
        let ratio = self.row(plan, figures).ratio();
        let note = format!("{most} actors: {ratio:.2} x of {base_size} (must {MUST:.0} x)");
        Chart { title: self.title.to_owned(), note, unit: self.unit.to_owned(), ideal: base.median, points }
    }
}

/// A core with many running actors of the guest.
struct Crowd {
    core: Arc<Core>,
    actors: Arc<Vec<Arc<ActorHandle>>>,
    // Keeps the core's folder until the end.
    _scratch: Scratch,
}

impl Crowd {
    /// Starts the actors, and has each send one message or request to the next.
    fn new(count: usize, by_request: bool) -> Self {
        let scratch = Scratch::new();
        let (core, manifest) = open(&scratch, "");
        let actors = started(&core, &manifest, count);
        let next = actors.iter().cycle().skip(1);
        for (actor, next) in actors.iter().zip(next) {
            block_on(told(actor, go(1, by_request, next)));
        }
        Self { core, actors: Arc::new(actors), _scratch: scratch }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        close(&self.core);
    }
}

/// Picks two different actors at random.
fn two<'a>(actors: &'a [Arc<ActorHandle>], chance: &mut Seeded) -> [&'a Arc<ActorHandle>; 2] {
    let mut below = |count: usize| chance.below(count as u64) as usize;
    let first = below(actors.len());
    let second = (first + 1 + below(actors.len() - 1)) % actors.len();
    [&actors[first], &actors[second]]
}

/// Nanoseconds per start and stop of an actor while this many others run.
pub fn starts_beside(count: usize, quick: bool) -> f64 {
    let starts = if quick { 10 * TASKS } else { 125 * TASKS };
    let scratch = Scratch::new();
    let (core, manifest) = open(&scratch, "");
    let others = started(&core, &manifest, count);
    start_and_stop(&core, &manifest, starts / 5);
    let each = time(starts, || start_and_stop(&core, &manifest, starts));
    assert!(others.iter().all(|actor| actor.end().is_none()));
    close(&core);
    each
}

/// Nanoseconds per message of 64 bytes between two of this many actors.
pub fn sends_among(count: usize, quick: bool) -> f64 {
    // One external call makes the sender send this many. Another one returns once the receiver has handled them.
    const AT_ONCE: u32 = 25;
    let turns = if quick { 5 } else { 125 };
    let crowd = Crowd::new(count, false);
    time(TASKS * turns * AT_ONCE, || {
        together(|task| {
            let actors = Arc::clone(&crowd.actors);
            spawn(async move {
                let mut chance = Seeded::new(task.into());
                for _ in 0..turns {
                    let [from, to] = two(&actors, &mut chance);
                    told(from, go(AT_ONCE, false, to)).await;
                    told(to, message(&[0; 64])).await;
                }
            })
        });
    })
}

/// The median nanoseconds for a request and its reply between two of this many actors.
pub fn requests_among(count: usize, quick: bool) -> f64 {
    let requests = if quick { 200 } else { 5_000 };
    let crowd = Crowd::new(count, true);
    let actors = Arc::clone(&crowd.actors);
    block_on(spawn(async move {
        let mut times = Histogram::<u64>::new(3).expect("three digits");
        let mut chance = Seeded::new(count as u64);
        for _ in 0..requests {
            let [from, to] = two(&actors, &mut chance);
            let params = go(1, true, to);
            let start = Instant::now();
            told(from, params).await;
            times.record(start.elapsed().as_nanos() as u64).expect("in range");
        }
        times.value_at_quantile(0.5) as f64
    }))
}
