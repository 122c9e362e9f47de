//! Where a command reads and writes: standard streams, or buffers in tests.
//!
//! A reader that goes away (`weir get … | head`) is no error worth a message; `Failure::Gone` carries it out.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;

use crate::failure::{Failure, plain};
use crate::limits;

/// The three streams of a command. Clones share them.
#[derive(Clone)]
pub struct Io {
    out: Rc<RefCell<dyn Write>>,
    err: Rc<RefCell<dyn Write>>,
    input: Rc<RefCell<dyn Read>>,
    terminal: bool,
    /// A person types what is read.
    typed: bool,
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
            typed: io::stdin().is_terminal(),
        }
    }

    /// Streams of one's own; never a terminal.
    pub fn new(out: Rc<RefCell<dyn Write>>, err: Rc<RefCell<dyn Write>>, input: Rc<RefCell<dyn Read>>) -> Io {
        Io { out, err, input, terminal: false, typed: false }
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

    /// Reads a line of standard input, without its end. Nothing there is an error.
    pub(crate) fn read_line(&self) -> Result<String, Failure> {
        let mut input = self.input.borrow_mut();
        let (mut line, mut byte) = (Vec::new(), [0]);
        while input.read(&mut byte)? == 1 && byte[0] != b'\n' && line.len() < limits::LONGEST_LINE {
            line.push(byte[0]);
        }
        let text = String::from_utf8(line).map_err(|_| plain("standard input is no text"))?;
        match text.trim_end_matches('\r') {
            "" => Err(plain("an answer was expected on standard input, and there is none")),
            text => Ok(text.to_owned()),
        }
    }

    /// The same for a secret: a person's terminal does not show it.
    pub(crate) fn read_secret(&self) -> Result<String, Failure> {
        if !self.typed {
            return self.read_line();
        }
        Ok(console::Term::stderr().read_secure_line()?)
    }

    /// Reads standard input to its end.
    pub(crate) fn read_input(&self) -> Result<String, Failure> {
        let mut text = String::new();
        self.input.borrow_mut().read_to_string(&mut text)?;
        Ok(text)
    }
}
