//! Ports that stay ours.
//!
//! API servers and Dex cannot be asked for port 0 and report what they got, and a server that is stopped and started again
//! must find its port free. So a port is taken from a range that the kernel gives to nobody, and a lock file holds it for
//! as long as the [`Port`] lives: two test processes never pick the same one.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::{Context, Result, bail};

/// Below the kernel's ephemeral ports (32768 and up), so that no outgoing connection sits on one of them.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// A TCP port on 127.0.0.1 that no other process of the testbed uses.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Takes any free port.
    pub fn free() -> Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Parallel processes begin their search at different places.
        let start = u16::try_from(std::process::id().wrapping_mul(61) % u32::from(COUNT))?;
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = FIRST + (start.wrapping_add(step) % COUNT);
            if let Some(port) = Self::take(number)? {
                return Ok(port);
            }
        }
        bail!("no free port between {FIRST} and {}", FIRST + COUNT - 1)
    }

    /// Takes this port when it is free, another one when it is not.
    pub fn prefer(number: u16) -> Result<Self> {
        Self::take(number)?.map_or_else(Self::free, Ok)
    }

    /// The number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// 127.0.0.1 with this port.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }

    fn take(number: u16) -> Result<Option<Self>> {
        let folder = crate::run::root().join("ports");
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let lock = File::create(folder.join(number.to_string()))?;
        let free = lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
        Ok(free.then_some(Self { number, _lock: lock }))
    }
}
