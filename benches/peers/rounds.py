"""Two programs timed in turn, and what their times say."""

import itertools
import json
import os
import pathlib
import statistics
import subprocess
import time

ROUND = 0.4  # seconds that one program runs in one round
MOST = 50  # runs in one round
PROCESSORS = os.sched_getaffinity(0)  # those that there are
BUSY = 0.9  # a program's processor time by the time that passed, below which it was interrupted


def share(threads):
    """Keeps this process and those that it starts on so many processors: a virtual machine's are not equally fast."""
    os.sched_setaffinity(0, sorted(PROCESSORS)[:threads])


class Runner:
    """A program that prints a JSON line, then answers each number n with n times in nanoseconds."""

    def __init__(self, command):
        self.command = [str(word) for word in command]
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"no answer from `{' '.join(self.command)}`; its reason stands above")
        return json.loads(line)

    def run(self, count):
        """Times of `count` runs in milliseconds."""
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return [nanoseconds / 1e6 for nanoseconds in self.answer()]

    def processor(self):
        """Seconds of processor time that it has taken."""
        # Behind the name, which may contain anything, the 12th and 13th.
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


class Local:
    """The same for a function of this process, called with one argument after the other."""

    def __init__(self, function, arguments):
        self.function = function
        self.arguments = itertools.cycle(arguments)

    def run(self, count):
        times = []
        for argument in itertools.islice(self.arguments, count):
            start = time.perf_counter_ns()
            self.function(argument)
            times.append((time.perf_counter_ns() - start) / 1e6)
        return times

    def processor(self):
        return time.process_time()


def in_turn(ours, peer, rounds):
    """Each round's times of both, which goes first alternating; and whether they were interrupted.

    Interruptions meet the longer runs more often, and the ratio says little then.
    """
    pair = (ours, peer)
    counts = []
    for runner in pair:
        runner.run(3)
        counts.append(max(3, min(MOST, round(ROUND * 1e3 / statistics.median(runner.run(3))))))
    taken, worked, passed = [], [0, 0], [0, 0]
    for number in range(rounds):
        times = [None, None]
        for i in (0, 1) if number % 2 == 0 else (1, 0):
            # Threads that a runtime keeps spinning after a run come to rest before the other's turn.
            time.sleep(0.02)
            pair[i].run(1)
            before = pair[i].processor()
            times[i] = pair[i].run(counts[i])
            worked[i] += pair[i].processor() - before
            passed[i] += sum(times[i]) / 1e3
        taken.append({"ours": times[0], "peer": times[1]})
    return taken, any(cpu < BUSY * wall for cpu, wall in zip(worked, passed))


def summary(taken, busy):
    """Medians in milliseconds; the ratio peer / ours of each round's medians as median and quartiles."""
    medians = [{side: statistics.median(times) for side, times in round.items()} for round in taken]
    ratios = [each["peer"] / each["ours"] for each in medians]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return {
        "ours_ms": statistics.median(each["ours"] for each in medians),
        "peer_ms": statistics.median(each["peer"] for each in medians),
        "ratio": middle,
        "quartiles": [low, high],
        "busy": busy,
    }


def columns(result):
    """A summary as the tables show it."""
    low, high = result["quartiles"]
    mark = "?" if result["busy"] else " "
    return f"{result['ours_ms']:8.2f} {result['peer_ms']:9.2f} {result['ratio']:6.2f}{mark} {low:5.2f}-{high:5.2f}"
