package delta

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"stretcher/internal/archive/pack"
)

// TestUnpacking: whatever is decompressed before it is asked for, and in whatever order
// that is done, a member has its content or its error, and close ends all.
func TestUnpacking(t *testing.T) {
	for name, c := range map[string]pack.Compression{"gzip": pack.Gzip, "zstd": pack.Zstd} {
		t.Run(name, func(t *testing.T) {
			r := newRelease(t, files(-1), c)
			data, err := os.ReadFile(r.archive)
			ok(t, err)
			spots, spoilt, all := map[int]spot{}, bytes.Clone(data), []int{}
			for i, m := range r.index.Members {
				spots[i], all = spot{file: bytes.NewReader(spoilt), at: m.Offset}, append(all, i)
				if i%3 == 0 {
					spoilt[m.Offset+int64(m.Length)/2]++
				}
			}
			right := map[int]spot{}
			for i, s := range spots {
				right[i] = spot{file: bytes.NewReader(data), at: s.at}
			}
			want := newMembers(r.index, right, nil, nil)
			defer want.close()
			for seed := range uint64(60) {
				rnd := rand.New(rand.NewPCG(seed, 1))
				soon := slices.DeleteFunc(slices.Clone(all), func(int) bool { return rnd.IntN(3) == 0 })
				m := newMembers(r.index, spots, nil, soon)
				asked := slices.Clone(all)
				if seed%2 == 0 {
					rnd.Shuffle(len(asked), func(i, j int) { asked[i], asked[j] = asked[j], asked[i] })
				}
				for _, i := range asked[:rnd.IntN(len(asked)+1)] {
					got, err := m.content(i)
					plain, _ := want.content(i)
					if i%3 == 0 && !errors.Is(err, ErrMember) || i%3 != 0 && (err != nil || !bytes.Equal(got, plain)) {
						t.Fatalf("seed %d, member %d of %d: %d bytes, error %v", seed, i, len(all), len(got), err)
					}
				}
				m.close()
			}
		})
	}
}
