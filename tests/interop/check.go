// Command check verifies a folder of C2SP tlog-tiles with Go's own sumdb packages, which know nothing of Caseledger:
// the checkpoint's signature, every tile against the checkpoint's root, every entry against its tile, an inclusion
// proof of every 1000th entry, and that the log continues each of a few smaller sizes of itself.
//
//	check FOLDER VKEY
//
// Exit status 0 says that all of it holds; 1, with the reason, that something does not.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Height of a tile of 256 hashes. Go has it in the path, tlog-tiles has not.
const height = 8

type folder string

func (f folder) path(t tlog.Tile) string {
	return filepath.Join(string(f), "tile", strings.TrimPrefix(t.Path(), "tile/"+strconv.Itoa(height)+"/"))
}

func (f folder) Height() int { return height }

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range tiles {
		read, err := os.ReadFile(f.path(tile))
		if err != nil {
			return nil, err
		}
		data = append(data, read)
	}
	return data, nil
}

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: check FOLDER VKEY")
		os.Exit(2)
	}
	size, err := check(folder(os.Args[1]), os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(size, "entries hold")
}

func check(log folder, vkey string) (int64, error) {
	tree, err := checkpoint(log, vkey)
	if err != nil {
		return 0, err
	}
	// Whatever it reads it has compared with the checkpoint's root.
	hashes := tlog.TileHashReader(tree, log)
	for first := int64(0); first < tree.N; first += 1 << height {
		if err := bundle(log, tree, hashes, first); err != nil {
			return 0, err
		}
	}
	for _, smaller := range []int64{1, tree.N / 3, tree.N / 2, tree.N - 1} {
		if smaller < 1 {
			continue
		}
		root, err := tlog.TreeHash(smaller, hashes)
		if err != nil {
			return 0, fmt.Errorf("size %d: %w", smaller, err)
		}
		proof, err := tlog.ProveTree(tree.N, smaller, hashes)
		if err == nil {
			err = tlog.CheckTree(proof, tree.N, tree.Hash, smaller, root)
		}
		if err != nil {
			return 0, fmt.Errorf("size %d: %w", smaller, err)
		}
	}
	return tree.N, nil
}

func checkpoint(log folder, vkey string) (tlog.Tree, error) {
	signed, err := os.ReadFile(filepath.Join(string(log), "checkpoint"))
	if err != nil {
		return tlog.Tree{}, err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("vkey: %w", err)
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 3 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("checkpoint: not of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: size: %w", err)
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: root: %w", err)
	}
	return tlog.Tree{N: size, Hash: root}, nil
}

// bundle checks up to 256 entries from first on.
func bundle(log folder, tree tlog.Tree, hashes tlog.HashReader, first int64) error {
	tile := tlog.Tile{H: height, L: -1, N: first >> height, W: 1 << height}
	if left := tree.N - first; left < 1<<height {
		tile.W = int(left)
	}
	path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
	entries, err := os.ReadFile(filepath.Join(string(log), path))
	if err != nil {
		return err
	}
	var places []int64
	for i := int64(0); i < int64(tile.W); i++ {
		places = append(places, tlog.StoredHashIndex(0, first+i))
	}
	leaves, err := hashes.ReadHashes(places)
	if err != nil {
		return fmt.Errorf("entries from %d on: %w", first, err)
	}
	for i, stored := range leaves {
		index := first + int64(i)
		if len(entries) < 2 || len(entries) < 2+int(binary.BigEndian.Uint16(entries)) {
			return fmt.Errorf("%s: ends within entry %d", path, index)
		}
		end := 2 + int(binary.BigEndian.Uint16(entries))
		leaf := tlog.RecordHash(entries[2:end])
		entries = entries[end:]
		if stored != leaf {
			return fmt.Errorf("%s: entry %d is not what the tree has", path, index)
		}
		if index%1000 != 0 {
			continue
		}
		proof, err := tlog.ProveRecord(tree.N, index, hashes)
		if err == nil {
			err = tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf)
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s: goes on behind its last entry", path)
	}
	return nil
}
