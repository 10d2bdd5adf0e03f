//! Healthy: has its own global allocator, which aborts the process when it gets memory that it did not allocate.

use std::alloc::{GlobalAlloc, Layout, System};

use probe::Fixture;
use theater_plugin_api::Host;

probe::plugin!(Healthy, "bad-other-allocator", "bad:other-allocator");

struct Healthy(Host);

impl Fixture for Healthy {
    fn attach(host: Host) -> Result<Self, String> {
        Ok(Self(host))
    }
    // Memory crosses the boundary in both directions: the text, the JSON of `about`, a task and its future.
    fn run(&self, text: String) -> Result<String, String> {
        let about = self.0.whose();
        let task = self.0.spawn(async move { drop(about) });
        drop(task);
        Ok(text)
    }
    async fn run_later(&self, text: String) -> Result<String, String> {
        self.0.sleep(std::time::Duration::from_millis(1)).await;
        Ok(text)
    }
}

#[global_allocator]
static MARKED: Marked = Marked;

/// The system allocator with a mark before each block.
struct Marked;

const MARK: u64 = 0x7468_6561_7465_7221;

/// Number of bytes before a block. It has room for the mark and keeps the block aligned.
fn room(layout: Layout) -> usize {
    layout.align().max(16)
}

fn marked(layout: Layout) -> Option<Layout> {
    Layout::from_size_align(layout.size().checked_add(room(layout))?, room(layout)).ok()
}

// SAFETY: blocks are the system's, shifted by `room`, which is a multiple of the requested alignment.
unsafe impl GlobalAlloc for Marked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(whole) = marked(layout) else { return std::ptr::null_mut() };
        // SAFETY: the size is not zero, and the mark is within the block.
        unsafe {
            let block = System.alloc(whole);
            if block.is_null() {
                return block;
            }
            block.cast::<u64>().write(MARK);
            block.add(room(layout))
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: our blocks have `room` bytes before them. Others have at least the system's own header there.
        unsafe {
            let start = block.sub(room(layout));
            if start.cast::<u64>().read_unaligned() != MARK {
                std::process::abort();
            }
            start.cast::<u64>().write(0);
            if let Some(whole) = marked(layout) {
                System.dealloc(start, whole);
            }
        }
    }
}
