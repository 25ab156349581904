package members

// searched is how far a header is looked for. Archives by stretcher pack have none
// further behind the end of a large file.
const searched = 128 << 10

// Contents tells of the contents of files in a part of an archive, which may begin
// and end anywhere, as far as they are wholly in it. pos is where it is in the archive.
// It guesses: a file may hold what looks like a header.
func Contents(part []byte, pos int64, each func(start, size int)) {
	at := firstHeader(part, int(-pos&(blockSize-1)))
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

// firstHeader is where the first header begins, of the blocks that begin at first: at
// once, or where its magic is; -1 = there is none before searched bytes.
func firstHeader(part []byte, first int) int {
	part = part[:min(len(part), searched)]
	for at := first; at+blockSize <= len(part); at += blockSize {
		h := (*header)(part[at : at+blockSize])
		if at > 0 && !h.isPOSIX() && !h.isGNU() {
			continue
		}
		if _, err := h.open(); err == nil {
			return at
		}
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
