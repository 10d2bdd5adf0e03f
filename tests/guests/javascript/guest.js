// Counts its requests, in JavaScript. A request with a body is answered "COUNT LENGTH", one for /err with an err.

// QuickJS has neither TextEncoder nor TextDecoder.
const bytes = (text) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const text = (bytes) => String.fromCharCode(...bytes);

export const actor = {
  init() {
    return [undefined];
  },
};

export const httpServer = {
  handleRequest(state, [request]) {
    if (request.uri === '/err') throw 'asked to fail';
    const count = (state ? Number(text(state)) : 0) + 1;
    const body = bytes(`${count} ${request.body?.length ?? 0}`);
    return [bytes(`${count}`), [{ status: 200, headers: [], body }]];
  },
};
