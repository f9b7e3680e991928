//! Runs one function over many items on a few threads, and hands the results over in the order of the items.

use std::thread;

/// Items a worker takes between two meetings.
const BATCH: usize = 8;

/// Calls `work` for every item on as many threads as there are workers, each with a worker of its own, and `take` on
/// this thread with the results in the order of the items. Memory does not grow with the number of items.
///
/// # Errors
/// The first error of `take`; items behind it are not taken.
///
/// # Panics
/// Where `work` panics.
pub fn in_order<W, I, T, E>(
    workers: &mut [W],
    items: &[I],
    work: impl Fn(&mut W, &I) -> T + Sync,
    mut take: impl FnMut(usize, T) -> Result<(), E>,
) -> Result<(), E>
where
    W: Send,
    I: Sync,
    T: Send,
{
    let chunk = workers.len().max(1) * BATCH;
    let mut ready: Vec<T> = Vec::new();
    let mut taken = 0;
    for items in items.chunks(chunk) {
        let share = items.len().div_ceil(workers.len().max(1));
        let (next, result) = thread::scope(|scope| {
            let running: Vec<_> = workers
                .iter_mut()
                .zip(items.chunks(share))
                .map(|(worker, items)| {
                    let work = &work;
                    scope.spawn(move || items.iter().map(|item| work(worker, item)).collect::<Vec<T>>())
                })
                .collect();
            // While the threads work on this chunk, the results of the one before are taken.
            let result = take_all(&mut ready, &mut taken, &mut take);
            let next: Vec<T> = running
                .into_iter()
                .flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect();
            (next, result)
        });
        result?;
        ready = next;
    }
    take_all(&mut ready, &mut taken, &mut take)
}

fn take_all<T, E>(
    ready: &mut Vec<T>,
    taken: &mut usize,
    take: &mut impl FnMut(usize, T) -> Result<(), E>,
) -> Result<(), E> {
    for result in ready.drain(..) {
        take(*taken, result)?;
        *taken += 1;
    }
    Ok(())
}

/// As many threads as the machine offers, at most `limit` where one is given.
pub fn threads(limit: Option<usize>) -> usize {
    let offered = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    limit.map_or(offered, |limit| limit.clamp(1, offered.max(limit.min(64))))
}

#[cfg(test)]
mod tests {
    use super::in_order;

    #[test]
    fn results_come_in_order_whatever_the_number_of_workers() {
        let items: Vec<u64> = (0..1000).collect();
        for count in [1, 2, 3, 7] {
            let mut workers = vec![0_u64; count];
            let mut seen = Vec::new();
            let add = |worker: &mut u64, item: &u64| {
                *worker += 1;
                item * 2
            };
            in_order(&mut workers, &items, add, |i, doubled| {
                assert_eq!(doubled, 2 * i as u64);
                seen.push(doubled);
                Ok::<(), ()>(())
            })
            .unwrap();
            assert_eq!(seen.len(), 1000);
            assert_eq!(workers.iter().sum::<u64>(), 1000);
        }
    }

    #[test]
    fn an_error_ends_the_run() {
        let items: Vec<usize> = (0..500).collect();
        let mut taken = 0;
        let result = in_order(
            &mut [(); 2],
            &items,
            |(), i| *i,
            |i, _| {
                taken += 1;
                if i == 20 { Err("stop") } else { Ok(()) }
            },
        );
        assert_eq!((result, taken), (Err("stop"), 21));
    }
}
