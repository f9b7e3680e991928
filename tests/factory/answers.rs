//! What the agent answers, as it is meant.

use super::{Edge, Ended, Grabbed, Pull};

pub(super) fn numbers(text: &str) -> Vec<u64> {
    text.split_whitespace().map(|word| word.parse().expect("the agent answers with numbers")).collect()
}

pub(super) fn pull(text: &str) -> Pull {
    let times = numbers(text);
    Pull { before: times[0], after: times[1] }
}

pub(super) fn edges(text: &str) -> Vec<Edge> {
    let edge = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let time = words[0].parse().expect("an edge begins with its time");
        Edge { time, line: words[1].to_string(), high: words[2] == "1", released: words.get(3) == Some(&"released") }
    };
    let mut edges: Vec<Edge> = text.lines().map(edge).collect();
    edges.sort_by_key(|edge| edge.time);
    edges
}

pub(super) fn grabbed(line: &str) -> Grabbed {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |i: usize| words[i].parse::<u64>().expect("a picture is described by numbers");
    let crc32 = u32::from_str_radix(words[3], 16).expect("a checksum is hexadecimal");
    Grabbed { sequence: number(0) as u32, time: number(1), bytes: number(2) as usize, crc32 }
}

pub(super) fn ended(text: &str) -> Ended {
    match text.split_once(' ') {
        Some(("exit", code)) => Ended::Exit(code.parse().expect("an exit has a number")),
        Some(("signal", signal)) => Ended::Signal(signal.parse().expect("a signal has a number")),
        _ => panic!("`{text}` does not say how a program ended"),
    }
}
