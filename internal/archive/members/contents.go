package members

import "bytes"

// searched is how far a header is looked for. Archives by stretcher pack have none
// further behind the end of a large file.
const searched = 128 << 10

// Contents tells of the contents of files in a part of an archive, which may begin
// and end anywhere, as far as they are wholly in it. It guesses: a file may hold
// what looks like a header.
func Contents(part []byte, each func(start, size int)) {
	at := firstHeader(part)
	for at >= 0 && at+blockSize <= len(part) {
		h := (*header)(part[at : at+blockSize])
		at += blockSize
		size, err := h.open()
		if err != nil || hasContent(h.typ()) && size > int64(len(part)-at) {
			return
		}
		if !hasContent(h.typ()) {
			continue
		}
		if size > 0 && isFile(h.typ()) {
			each(at, int(size))
		}
		at += int(size + -size&(blockSize-1))
	}
}

// firstHeader is where the first header begins: at once, or where its magic is;
// -1 = there is none before searched bytes.
func firstHeader(part []byte) int {
	const magicAt = 257
	part = part[:min(len(part), searched)]
	if len(part) < blockSize {
		return -1
	}
	if _, err := (*header)(part[:blockSize]).open(); err == nil {
		return 0
	}
	for at := magicAt; at < len(part); {
		i := bytes.Index(part[at:], []byte("ustar"))
		if i < 0 {
			return -1
		}
		at += i
		if start := at - magicAt; start+blockSize <= len(part) {
			if _, err := (*header)(part[start : start+blockSize]).open(); err == nil {
				return start
			}
		}
		at++
	}
	return -1
}

// isFile tells whether a member of that type is a regular file.
func isFile(kind byte) bool {
	switch kind {
	case typeV7, Regular, Contiguous:
		return true
	}
	return false
}
