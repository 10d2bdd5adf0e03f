// Counts its requests, in Go without any library: what ../c/guest.c says holds here.
package main

import (
	"strconv"
	"unsafe"
)

// What the host has written for the call that runs: the collector must not take it.
var held [][]byte

//go:wasmexport cabi_realloc
func reallocate(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	block := make([]byte, size+1)
	copy(block, unsafe.Slice((*byte)(old), oldSize))
	held = append(held, block)
	return unsafe.Pointer(&block[0])
}

type list struct{ at, length uint32 }

type response struct {
	status  uint32
	headers list
	hasBody uint32
	body    list
}

type answer struct {
	isErr    uint32
	hasState uint32
	state    list
	response response
}

type failure struct {
	isErr uint32
	text  list
}

var (
	given    answer
	failed   failure
	none     [4]uint32
	newState []byte
	body     []byte
	refused  = []byte("asked to fail")
)

func bytes(at unsafe.Pointer, length uint32) []byte {
	return unsafe.Slice((*byte)(at), length)
}

func listOf(bytes []byte) list {
	return list{uint32(uintptr(unsafe.Pointer(&bytes[0]))), uint32(len(bytes))}
}

//go:wasmexport theater:simple/actor#init
func start(hasState uint32, state unsafe.Pointer, length uint32, id unsafe.Pointer, idLength uint32) unsafe.Pointer {
	return unsafe.Pointer(&none)
}

//go:wasmexport theater:simple/http-server#handle-request
func handleRequest(hasState uint32, state unsafe.Pointer, length uint32, method unsafe.Pointer, methodLength uint32,
	uri unsafe.Pointer, uriLength uint32, headers unsafe.Pointer, headersLength uint32,
	hasBody uint32, content unsafe.Pointer, contentLength uint32) unsafe.Pointer {
	if string(bytes(uri, uriLength)) == "/err" {
		failed = failure{1, listOf(refused)}
		return unsafe.Pointer(&failed)
	}
	count := 0
	if hasState == 1 {
		count, _ = strconv.Atoi(string(bytes(state, length)))
	}
	if hasBody == 0 {
		contentLength = 0
	}
	newState = strconv.AppendInt(nil, int64(count+1), 10)
	body = append(append([]byte{}, newState...), ' ')
	body = strconv.AppendUint(body, uint64(contentLength), 10)
	given = answer{0, 1, listOf(newState), response{200, list{4, 0}, 1, listOf(body)}}
	return unsafe.Pointer(&given)
}

//go:wasmexport cabi_post_theater:simple/http-server#handle-request
func afterHandleRequest(at unsafe.Pointer) { held = nil }

//go:wasmexport cabi_post_theater:simple/actor#init
func afterInit(at unsafe.Pointer) { held = nil }

func main() {}
