package keystore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// The file format of bbolt (format version 2), as far as the check needs it. A
// page begins with a header: id (8 bytes), kind (2), count of elements (2), and
// how many more pages it extends over (4).
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	headerSize  = 16
	elementSize = 16 // of a branch: position, key size, page; of a leaf: flags, position, key size, value size
	metaSize    = 80

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10

	bucketEntry = 0x01 // other entries of a leaf have no flag

	minPageSize = 1 << 10
	maxPageSize = 1 << 24
)

// boltMeta is one of the two pages that say where everything else is; each
// transaction becomes valid by the write of one of them.
type boltMeta struct {
	at                                    int64 // where it is in the file
	pageSize, root, freelist, end, number uint64
}

// newestMeta is the meta page of the last transaction. Both must be valid: if
// the newest is damaged, bbolt would go on from the one before, and bring the
// leaves of the last change back with it.
func newestMeta(file io.ReaderAt) (boltMeta, error) {
	first, err := readMeta(file, 0)
	if err != nil {
		return boltMeta{}, err
	}
	second, err := readMeta(file, int64(first.pageSize))
	if err != nil {
		return boltMeta{}, err
	}
	if second.number > first.number {
		return second, nil
	}
	return first, nil
}

func readMeta(file io.ReaderAt, at int64) (boltMeta, error) {
	page := make([]byte, metaSize)
	if _, err := file.ReadAt(page, at); err != nil {
		return boltMeta{}, fmt.Errorf("couldn't read the meta page at %d: %w", at, err)
	}
	sum := fnv.New64a()
	sum.Write(page[16:72])
	switch {
	case u32(page, 16) != boltMagic:
		return boltMeta{}, damaged("no meta page at %d", at)
	case u32(page, 20) != boltVersion:
		return boltMeta{}, fmt.Errorf("%w: format %d of bbolt", ErrVersion, u32(page, 20))
	case u64(page, 72) != sum.Sum64():
		return boltMeta{}, damaged("the meta page at %d has a wrong checksum", at)
	}
	return boltMeta{
		at: at, pageSize: uint64(u32(page, 24)), root: u64(page, 32), freelist: u64(page, 48),
		end: u64(page, 56), number: u64(page, 64),
	}, nil
}

// pageWalk visits all pages of a store that are in use, each of them once, so
// that its memory and time are bounded by the size of the file. It reads, and
// never maps, the file: a page that is not there is an error and not a signal.
type pageWalk struct {
	file      io.ReaderAt
	size, end uint64          // of a page; number of pages
	met       map[uint64]bool // pages visited or free
}

// checkPages makes sure that bbolt, which trusts what it maps, can work with the
// file: it follows every reference that bbolt could follow.
func checkPages(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	meta, err := newestMeta(file)
	if err != nil {
		return err
	}
	if s := meta.pageSize; s < minPageSize || s > maxPageSize || s&(s-1) != 0 {
		return damaged("pages of %d bytes", s)
	}
	if have := uint64(info.Size()) / meta.pageSize; have < meta.end {
		return damaged("%d pages of %d are left", have, meta.end)
	}
	walk := pageWalk{file: file, size: meta.pageSize, end: meta.end, met: map[uint64]bool{}}
	if err := walk.tree(meta.root, true, nil, nil); err != nil {
		return err
	}
	return walk.freelist(meta.freelist)
}

// maxSpan bounds a page with those that it extends over, in bytes: what a hostile
// file can make its reader allocate. The longest value takes 4 MiB, and the list
// of free pages of a store of 32 GiB takes this.
const maxSpan = 64 << 20

// read returns a page with the pages that it extends over. No page may be part
// of two.
func (w *pageWalk) read(id uint64) ([]byte, error) {
	if id < 2 || id >= w.end {
		return nil, damaged("a reference to page %d of %d", id, w.end)
	}
	header := make([]byte, headerSize)
	if _, err := w.file.ReadAt(header, int64(id*w.size)); err != nil {
		return nil, err
	}
	pages := uint64(u32(header, 12)) + 1
	if u64(header, 0) != id || pages > w.end-id {
		return nil, damaged("page %d has the header of another", id)
	}
	if pages*w.size > maxSpan {
		return nil, damaged("page %d extends over %d pages", id, pages)
	}
	for part := range pages {
		if err := w.meet(id + part); err != nil {
			return nil, err
		}
	}
	page := make([]byte, pages*w.size)
	_, err := w.file.ReadAt(page, int64(id*w.size))
	return page, err
}

func (w *pageWalk) meet(id uint64) error {
	if id < 2 || id >= w.end || w.met[id] {
		return damaged("page %d of %d is referred to, or is used twice", id, w.end)
	}
	w.met[id] = true
	return nil
}

// tree follows a page and all below it. Their keys must be in [low, high), where
// nil is no limit. The top tree holds the buckets.
func (w *pageWalk) tree(id uint64, top bool, low, high []byte) error {
	page, err := w.read(id)
	if err != nil {
		return err
	}
	switch kindOf(page) {
	case branchPage:
		return w.branch(page, top, low, high)
	case leafPage:
		return w.leaf(page, top, low, high)
	}
	return damaged("page %d is of kind %#x", id, kindOf(page))
}

func (w *pageWalk) branch(page []byte, top bool, low, high []byte) error {
	children, err := elementsOf(page, low, high)
	if err != nil {
		return err
	}
	if len(children) == 0 {
		return damaged("a branch without children")
	}
	for i, child := range children {
		limit := high
		if i+1 < len(children) {
			limit = children[i+1].key
		}
		if err := w.tree(child.page, top, child.key, limit); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks that the buckets, and nothing else, are at the top. Only a bucket
// as a whole may be empty: its root has no lower limit.
func (w *pageWalk) leaf(page []byte, top bool, low, high []byte) error {
	entries, err := elementsOf(page, low, high)
	if err != nil {
		return err
	}
	if len(entries) == 0 && low != nil {
		return damaged("a leaf without entries")
	}
	for _, entry := range entries {
		if top != (entry.flags == bucketEntry) || !top && entry.flags != 0 {
			return damaged("an entry of kind %#x", entry.flags)
		}
		if !top {
			continue
		}
		if err := w.bucket(entry.value); err != nil {
			return err
		}
	}
	return nil
}

// bucket follows the value that describes a bucket: the number of its root page
// and a sequence number. A small bucket has its only page behind them, and root 0.
func (w *pageWalk) bucket(value []byte) error {
	if len(value) < 16 {
		return damaged("a bucket of %d bytes", len(value))
	}
	if root := u64(value, 0); root != 0 {
		return w.tree(root, false, nil, nil)
	}
	page := value[16:]
	if len(page) < headerSize || u64(page, 0) != 0 || kindOf(page) != leafPage || u32(page, 12) != 0 {
		return damaged("a small bucket without its page")
	}
	return w.leaf(page, false, nil, nil)
}

// freelist checks that no page is both free and in use: it would be overwritten.
// It comes last, when all pages in use are known.
func (w *pageWalk) freelist(id uint64) error {
	page, err := w.read(id)
	if err != nil {
		return err
	}
	count, ids := uint64(binary.NativeEndian.Uint16(page[10:])), page[headerSize:]
	if count == 0xFFFF { // and more: then the count is the first number
		count, ids = u64(ids, 0), ids[8:]
	}
	if kindOf(page) != freelistPage || count > uint64(len(ids))/8 {
		return damaged("page %d is not a list of free pages", id)
	}
	for i := range int(count) {
		if err := w.meet(u64(ids, 8*i)); err != nil {
			return err
		}
	}
	return nil
}

// element is one entry of a branch (key and page) or of a leaf.
type element struct {
	key, value []byte
	page       uint64
	flags      uint32
}

// elementsOf reads the elements of a page, which must be in order and in [low,
// high). bbolt puts the data behind the table of elements, without a gap, so
// that also a wrong count is noticed.
func elementsOf(page, low, high []byte) ([]element, error) {
	count := int(binary.NativeEndian.Uint16(page[10:]))
	next := uint64(headerSize + count*elementSize)
	if next > uint64(len(page)) {
		return nil, damaged("%d elements in a page of %d bytes", count, len(page))
	}
	elements := make([]element, count)
	for i := range elements {
		at := headerSize + i*elementSize
		e, position, keySize, valueSize := parseElement(page[at:at+elementSize], kindOf(page))
		end := next + keySize + valueSize
		if uint64(at)+position != next || keySize == 0 || end > uint64(len(page)) {
			return nil, damaged("an element outside its page")
		}
		e.key, e.value = page[next:next+keySize], page[next+keySize:end]
		elements[i], next = e, end
	}
	return elements, inOrder(elements, low, high)
}

func parseElement(raw []byte, kind uint16) (e element, position, keySize, valueSize uint64) {
	if kind == branchPage {
		return element{page: u64(raw, 8)}, uint64(u32(raw, 0)), uint64(u32(raw, 4)), 0
	}
	e = element{flags: u32(raw, 0)}
	return e, uint64(u32(raw, 4)), uint64(u32(raw, 8)), uint64(u32(raw, 12))
}

// inOrder guards against an entry that a search would miss.
func inOrder(elements []element, low, high []byte) error {
	for i, e := range elements {
		tooLow := i == 0 && bytes.Compare(e.key, low) < 0 || i > 0 && bytes.Compare(e.key, elements[i-1].key) <= 0
		if tooLow || high != nil && bytes.Compare(e.key, high) >= 0 {
			return damaged("keys out of order")
		}
	}
	return nil
}

// confirm makes the newest meta page durable, and with it all that it refers to,
// which bbolt synced before. A process that was killed, or whose fsync failed,
// may have left the page in the cache of the system alone. The same bytes are
// written again first: after a failed fsync the system believes that the page is
// on the disk, and another fsync would succeed without writing it. A bbolt
// transaction would do too, but overwrite pages that the last durable meta page
// still refers to, and change a store that is then refused.
func confirm(file *os.File) error {
	meta, err := newestMeta(file)
	if err != nil {
		return err
	}
	page := make([]byte, metaSize)
	_, err = file.ReadAt(page, meta.at)
	if err == nil {
		_, err = file.WriteAt(page, meta.at)
	}
	if err := errors.Join(err, file.Sync()); err != nil {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	return nil
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// The numbers are in the order of the machine.
func kindOf(page []byte) uint16      { return binary.NativeEndian.Uint16(page[8:]) }
func u32(page []byte, at int) uint32 { return binary.NativeEndian.Uint32(page[at:]) }
func u64(page []byte, at int) uint64 { return binary.NativeEndian.Uint64(page[at:]) }
