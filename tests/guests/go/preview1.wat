;; In place of an operating system: what Go's runtime asks of one, answered without one. Nothing is imported, so the
;; component needs no WASI. The clock stands still, and what is meant to be random is not.
(module
  (import "env" "memory" (memory 0))
  (func $ok (param i32 i32) (result i32) (i32.const 0))
  (export "args_get" (func $ok))
  (export "environ_get" (func $ok))
  ;; No arguments and no variables.
  (func $no_sizes (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    (i32.const 0))
  (export "args_sizes_get" (func $no_sizes))
  (export "environ_sizes_get" (func $no_sizes))
  (func (export "clock_time_get") (param $clock i32) (param $precision i64) (param $time i32) (result i32)
    (i64.store (local.get $time) (i64.const 1))
    (i32.const 0))
  (func (export "random_get") (param $at i32) (param $length i32) (result i32)
    (memory.fill (local.get $at) (i32.const 7) (local.get $length))
    (i32.const 0))
  ;; Written and gone: the lengths of all pieces together.
  (func (export "fd_write") (param $file i32) (param $pieces i32) (param $count i32) (param $written i32) (result i32)
    (local $all i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $all (i32.add (local.get $all) (i32.load offset=4 (local.get $pieces))))
        (local.set $pieces (i32.add (local.get $pieces) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.store (local.get $written) (local.get $all))
    (i32.const 0))
  ;; ENOSYS
  (func (export "poll_oneoff") (param i32 i32 i32 i32) (result i32) (i32.const 52))
  (func (export "sched_yield") (result i32) (i32.const 0))
  (func (export "proc_exit") (param i32) (unreachable)))
