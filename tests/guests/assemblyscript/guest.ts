// Counts its requests, in AssemblyScript: what ../c/guest.c says holds here. Names of the component model are no names of
// the language, so `build` gives the exports theirs.

const PAGE: usize = 65536;

let top: usize = 0;

// What a call is given and what it answers lies above the heap's base until the call is over.
export function cabi_realloc(old: usize, oldSize: usize, align: usize, size: usize): usize {
  if (top == 0) top = __heap_base;
  top = (top + align - 1) & ~(align - 1);
  const at = top;
  const end = at + size;
  const have = <usize>memory.size() * PAGE;
  if (end > have && memory.grow(<i32>((end - have + PAGE - 1) / PAGE)) < 0) unreachable();
  memory.copy(at, old, oldSize);
  top = end;
  return at;
}

const result = memory.data(40, 4);
const count = memory.data(10);
const answer = memory.data(21);
const refused = memory.data<u8>([97, 115, 107, 101, 100, 32, 116, 111, 32, 102, 97, 105, 108]);

function number(at: usize, length: usize): u32 {
  let value: u32 = 0;
  for (let i: usize = 0; i < length; i++) value = value * 10 + (load<u8>(at + i) - 48);
  return value;
}

// Digits in front of `end`: where they begin.
function digits(value: u32, end: usize): usize {
  do {
    store<u8>(--end, <u8>(48 + (value % 10)));
    value /= 10;
  } while (value);
  return end;
}

export function init(hasState: i32, state: usize, length: usize, id: usize, idLength: usize): usize {
  store<u32>(result, 0);
  store<u32>(result, 0, 4);
  return result;
}

export function handleRequest(
  hasState: i32, state: usize, length: usize, method: usize, methodLength: usize, uri: usize, uriLength: usize,
  headers: usize, headersLength: usize, hasBody: i32, body: usize, bodyLength: usize,
): usize {
  if (uriLength == 4 && load<u8>(uri, 1) == 101 && load<u8>(uri, 2) == 114 && load<u8>(uri, 3) == 114) {
    store<u32>(result, 1);
    store<usize>(result, refused, 4);
    store<u32>(result, 13, 8);
    return result;
  }
  const first = digits((hasState ? number(state, length) : 0) + 1, count + 10);
  const countLength = count + 10 - first;
  let second = digits(<u32>(hasBody ? bodyLength : 0), answer + 21) - 1;
  store<u8>(second, 32);
  second -= countLength;
  memory.copy(second, first, countLength);
  store<u32>(result, 0);
  // The state: some, where, how long.
  store<u32>(result, 1, 4);
  store<usize>(result, first, 8);
  store<usize>(result, countLength, 12);
  // The response: status, no headers, some body.
  store<u32>(result, 200, 16);
  store<u32>(result, 4, 20);
  store<u32>(result, 0, 24);
  store<u32>(result, 1, 28);
  store<usize>(result, second, 32);
  store<usize>(result, answer + 21 - second, 36);
  return result;
}

export function afterCall(at: usize): void {
  top = 0;
}
