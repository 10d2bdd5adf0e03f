;; Counts its requests, as a core module in the text format: what ../c/guest.c says holds here.
(module
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 1024))
  ;; 0: the result; 64: the digits of the count end at 74; 96: the answer ends at 117.
  (data (i32.const 128) "asked to fail")

  ;; What a call is given lies above 1024 until the call is over.
  (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (global.set $top
      (i32.and
        (i32.sub (i32.add (global.get $top) (local.get $align)) (i32.const 1))
        (i32.sub (i32.const 0) (local.get $align))))
    (local.set $at (global.get $top))
    (global.set $top (i32.add (local.get $at) (local.get $size)))
    (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
      (then
        (if
          (i32.eq
            (memory.grow
              (i32.add
                (i32.div_u
                  (i32.sub (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
                  (i32.const 65536))
                (i32.const 1)))
            (i32.const -1))
          (then (unreachable)))))
    (memory.copy (local.get $at) (local.get $old) (local.get $old_size))
    (local.get $at))

  (func $number (param $at i32) (param $length i32) (result i32)
    (local $value i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $length)))
        (local.set $value
          (i32.add
            (i32.mul (local.get $value) (i32.const 10))
            (i32.sub (i32.load8_u (local.get $at)) (i32.const 48))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $length (i32.sub (local.get $length) (i32.const 1)))
        (br $next)))
    (local.get $value))

  ;; Digits in front of $end: where they begin.
  (func $digits (param $value i32) (param $end i32) (result i32)
    (loop $next
      (local.set $end (i32.sub (local.get $end) (i32.const 1)))
      (i32.store8 (local.get $end) (i32.add (i32.const 48) (i32.rem_u (local.get $value) (i32.const 10))))
      (local.set $value (i32.div_u (local.get $value) (i32.const 10)))
      (br_if $next (local.get $value)))
    (local.get $end))

  (func (export "theater:simple/actor#init") (param i32 i32 i32 i32 i32) (result i32)
    (i64.store (i32.const 0) (i64.const 0))
    (i32.const 0))

  (func (export "theater:simple/http-server#handle-request")
    (param $has_state i32) (param $state i32) (param $length i32) (param $method i32) (param $method_length i32)
    (param $uri i32) (param $uri_length i32) (param $headers i32) (param $headers_length i32)
    (param $has_body i32) (param $body i32) (param $body_length i32) (result i32)
    (local $first i32) (local $second i32) (local $count_length i32)
    (if (i32.eq (local.get $uri_length) (i32.const 4))
      (then
        ;; "/err", from its last byte to its first one
        (if (i32.eq (i32.load align=1 (local.get $uri)) (i32.const 0x7272652f))
          (then
            (i32.store (i32.const 0) (i32.const 1))
            (i32.store (i32.const 4) (i32.const 128))
            (i32.store (i32.const 8) (i32.const 13))
            (return (i32.const 0))))))
    (if (local.get $has_state)
      (then (local.set $first (call $number (local.get $state) (local.get $length)))))
    (local.set $first (call $digits (i32.add (local.get $first) (i32.const 1)) (i32.const 74)))
    (local.set $count_length (i32.sub (i32.const 74) (local.get $first)))
    (local.set $second
      (i32.sub
        (call $digits
          (select (local.get $body_length) (i32.const 0) (local.get $has_body))
          (i32.const 117))
        (i32.const 1)))
    (i32.store8 (local.get $second) (i32.const 32))
    (local.set $second (i32.sub (local.get $second) (local.get $count_length)))
    (memory.copy (local.get $second) (local.get $first) (local.get $count_length))
    (i32.store (i32.const 0) (i32.const 0))
    ;; The state: some, where, how long.
    (i32.store (i32.const 4) (i32.const 1))
    (i32.store (i32.const 8) (local.get $first))
    (i32.store (i32.const 12) (local.get $count_length))
    ;; The response: status, no headers, some body.
    (i32.store (i32.const 16) (i32.const 200))
    (i32.store (i32.const 20) (i32.const 4))
    (i32.store (i32.const 24) (i32.const 0))
    (i32.store (i32.const 28) (i32.const 1))
    (i32.store (i32.const 32) (local.get $second))
    (i32.store (i32.const 36) (i32.sub (i32.const 117) (local.get $second)))
    (i32.const 0))

  (func $after (param i32) (global.set $top (i32.const 1024)))
  (export "cabi_post_theater:simple/actor#init" (func $after))
  (export "cabi_post_theater:simple/http-server#handle-request" (func $after)))
