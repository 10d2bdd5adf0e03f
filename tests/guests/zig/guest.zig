// Counts its requests, in Zig without any library: what ../c/guest.c says holds here.

const page = 65536;

extern const __heap_base: u8;

var top: usize = 0;

// What a call is given and what it answers lies above the heap's base until the call is over.
export fn cabi_realloc(old: [*]const u8, old_size: usize, alignment: usize, size: usize) [*]u8 {
    if (top == 0) top = @intFromPtr(&__heap_base);
    top = (top + alignment - 1) & ~(alignment - 1);
    const at: [*]u8 = @ptrFromInt(top);
    const end = top + size;
    const have = @wasmMemorySize(0) * page;
    if (end > have and @wasmMemoryGrow(0, (end - have + page - 1) / page) < 0) @trap();
    for (0..old_size) |i| at[i] = old[i];
    top = end;
    return at;
}

const List = extern struct { at: [*]const u8, length: usize };

const Response = extern struct {
    status: u16 = 200,
    headers: [*]const u8 = @ptrFromInt(4),
    headers_length: usize = 0,
    has_body: u8 = 1,
    body: List,
};

const Result = extern struct {
    is_err: u8,
    value: extern union {
        err: List,
        ok: extern struct { has_state: u8, state: List, response: Response },
    },
};

var result: Result = undefined;
var init_result: extern struct { is_err: u8 = 0, has_state: u32 = 0, state: [2]u32 = .{ 0, 0 } } = .{};
var count: [10]u8 = undefined;
var answer: [21]u8 = undefined;

fn number(text: []const u8) u32 {
    var value: u32 = 0;
    for (text) |digit| value = value * 10 + (digit - '0');
    return value;
}

// Digits at the end of a buffer: all of them.
fn digits(value: u32, buffer: []u8) []u8 {
    var rest = value;
    var first = buffer.len;
    while (true) {
        first -= 1;
        buffer[first] = '0' + @as(u8, @intCast(rest % 10));
        rest /= 10;
        if (rest == 0) return buffer[first..];
    }
}

export fn @"theater:simple/actor#init"(has_state: u32, state: [*]const u8, length: usize, id: [*]const u8, id_length: usize) *const anyopaque {
    _ = .{ has_state, state, length, id, id_length };
    return &init_result;
}

export fn @"theater:simple/http-server#handle-request"(has_state: u32, state: [*]const u8, length: usize, method: [*]const u8, method_length: usize, uri: [*]const u8, uri_length: usize, headers: [*]const u8, headers_length: usize, has_body: u32, body: [*]const u8, body_length: usize) *const Result {
    _ = .{ method, method_length, headers, headers_length, body };
    if (uri_length == 4 and uri[1] == 'e' and uri[2] == 'r' and uri[3] == 'r') {
        const refused = "asked to fail";
        result = .{ .is_err = 1, .value = .{ .err = .{ .at = refused, .length = refused.len } } };
        return &result;
    }
    const counted = digits((if (has_state == 1) number(state[0..length]) else 0) + 1, &count);
    const size = digits(if (has_body == 1) body_length else 0, &answer);
    var first = answer.len - size.len - 1;
    answer[first] = ' ';
    first -= counted.len;
    for (counted, 0..) |digit, i| answer[first + i] = digit;
    const text: []const u8 = answer[first..];
    result = .{ .is_err = 0, .value = .{ .ok = .{
        .has_state = 1,
        .state = .{ .at = counted.ptr, .length = counted.len },
        .response = .{ .body = .{ .at = text.ptr, .length = text.len } },
    } } };
    return &result;
}

export fn @"cabi_post_theater:simple/http-server#handle-request"(_: u32) void {
    top = 0;
}

export fn @"cabi_post_theater:simple/actor#init"(_: u32) void {
    top = 0;
}
