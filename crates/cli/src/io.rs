//! Where a command reads and writes: standard streams, or buffers in tests.
//!
//! A reader that goes away (`weir get … | head`) is no error worth a message; `Failure::Gone` carries it out.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;

use crate::failure::Failure;

/// The three streams of a command. Clones share them.
#[derive(Clone)]
pub struct Io {
    out: Rc<RefCell<dyn Write>>,
    err: Rc<RefCell<dyn Write>>,
    input: Rc<RefCell<dyn Read>>,
    terminal: bool,
}

impl std::fmt::Debug for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

impl Io {
    /// The streams of the process.
    pub fn process() -> Io {
        use std::io::IsTerminal;
        Io {
            out: Rc::new(RefCell::new(io::stdout())),
            err: Rc::new(RefCell::new(io::stderr())),
            input: Rc::new(RefCell::new(io::stdin())),
            terminal: io::stderr().is_terminal() && io::stdout().is_terminal(),
        }
    }

    /// Streams of one's own; never a terminal.
    pub fn new(out: Rc<RefCell<dyn Write>>, err: Rc<RefCell<dyn Write>>, input: Rc<RefCell<dyn Read>>) -> Io {
        Io { out, err, input, terminal: false }
    }

    /// True when a person watches both outputs, so that progress may be shown.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes to standard output.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = self.out.borrow_mut();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// Writes a line to standard output.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.print(&format!("{text}\n"))
    }

    /// Writes a line to standard error. Nobody can be told when that fails.
    pub(crate) fn complain(&self, text: &str) {
        let mut err = self.err.borrow_mut();
        let end = if text.ends_with('\n') { "" } else { "\n" };
        drop(write!(err, "{text}{end}"));
        drop(err.flush());
    }

    /// Reads standard input to its end.
    pub(crate) fn read_input(&self) -> Result<String, Failure> {
        let mut text = String::new();
        self.input.borrow_mut().read_to_string(&mut text)?;
        Ok(text)
    }
}
