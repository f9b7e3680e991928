//! Why a program cannot be run.

/// What is wrong with a program or its input; each names the step or tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// A step, tensor or port that contradicts itself or another.
    #[error("the network program is malformed at {at}: {what}; fit the shelf again")]
    Malformed {
        /// Name of the step, or number of the tensor.
        at: String,
        /// What does not fit.
        what: String,
    },
    /// More memory than any classifier of images needs.
    #[error("the network program needs {bytes} bytes for its tensors, {most} are the limit; use a smaller input")]
    TooLarge {
        /// Bytes of all tensors that live at the same time.
        bytes: u64,
        /// Most bytes allowed.
        most: u64,
    },
    /// Input slices of another number, length or type than the program's.
    #[error("input {index} has {found} values, the network program takes {expected}; give it one image of its size")]
    Input {
        /// Which input.
        index: usize,
        /// Values it takes.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// A processor was asked for that this machine is not.
    #[error("this machine's processor has no {0} instructions; leave the choice to the program")]
    Cpu(&'static str),
    /// The system gives no more threads.
    #[error("cannot start {count} threads: {why}; use fewer")]
    Threads {
        /// How many were asked for.
        count: usize,
        /// What the system says.
        why: String,
    },
}
