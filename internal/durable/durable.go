// Package durable writes files so that they survive a crash.
//
// Invariant: when a function here returns nil, the bytes and the name that
// leads to them were handed to the disk with fsync; before that moment a reader
// sees the old file or none, never a part of the new one.
//
// The system calls of a replacement are: open a temporary file in the same
// folder, write, fsync, rename (for a new file one that refuses to replace),
// fsync of the folder. What is not promised: a disk that acknowledges a write it
// keeps in a volatile cache can still lose it, and a failed fsync leaves the
// outcome unknown.
package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Write replaces the file at path with data, atomically.
func Write(path string, data []byte, mode os.FileMode) error {
	return place(path, data, mode, os.Rename)
}

// Create is Write for a file that must not exist yet: it fails with an error
// that wraps fs.ErrExist, and touches nothing, if there is one.
func Create(path string, data []byte, mode os.FileMode) error {
	return place(path, data, mode, renameNew)
}

// place writes a temporary file and gives it its name with the call put.
func place(path string, data []byte, mode os.FileMode, put func(from, to string) error) error {
	tmp, err := writeTemporary(filepath.Dir(path), data, mode)
	if err != nil {
		return fmt.Errorf("couldn't write %s: %w", path, err)
	}
	if err := put(tmp, path); err != nil {
		os.Remove(tmp)
		return fmt.Errorf("couldn't write %s: %w", path, err)
	}
	return SyncFolder(filepath.Dir(path))
}

// writeTemporary makes a synced file with a random name in folder.
func writeTemporary(folder string, data []byte, mode os.FileMode) (name string, err error) {
	f, err := os.CreateTemp(folder, ".onceleaf-*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	defer f.Close()
	if err := f.Chmod(mode); err != nil {
		return "", err
	}
	if _, err := f.Write(data); err != nil {
		return "", err
	}
	return f.Name(), f.Sync()
}

// renameNew renames a file to a name that must be free. A file system without
// such a rename gets a link instead, and one without either (some network file
// systems) an error.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}

// Publish gives a finished file its final name, durably. It fails with an error
// that wraps fs.ErrExist if path is taken.
func Publish(temporary, path string) error {
	if err := syncFile(temporary); err != nil {
		return fmt.Errorf("couldn't sync %s: %w", temporary, err)
	}
	if err := renameNew(temporary, path); err != nil {
		return fmt.Errorf("couldn't publish %s: %w", path, err)
	}
	return SyncFolder(filepath.Dir(path))
}

// Probe reports why a new file of size bytes could not be written in a folder,
// if so. It leaves nothing there.
func Probe(folder string, size int) error {
	tmp, err := writeTemporary(folder, make([]byte, size), 0o600)
	if err != nil {
		return fmt.Errorf("couldn't write in folder %s: %w", folder, err)
	}
	return os.Remove(tmp)
}

// MkdirAll makes a folder and its missing parents, each of them durably.
func MkdirAll(path string, mode os.FileMode) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := MkdirAll(parent, mode); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, mode); err != nil && !os.IsExist(err) {
		return fmt.Errorf("couldn't make folder %s: %w", path, err)
	}
	return SyncFolder(parent)
}

// Append opens a log file for appending, made with mode if it is not there.
// What is appended is not synced.
func Append(path string, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, mode)
	if err != nil {
		return nil, fmt.Errorf("couldn't open %s: %w", path, err)
	}
	return f, nil
}

// SyncFolder makes the names in a folder durable.
func SyncFolder(path string) error {
	if err := syncFile(path); err != nil {
		return fmt.Errorf("couldn't sync folder %s: %w", path, err)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
