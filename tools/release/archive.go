package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A file is put into an archive under a name.
type file struct {
	name, path string
	executable bool
}

func (f file) mode() fs.FileMode {
	if f.executable {
		return 0o755
	}
	return 0o644
}

// writeTar writes a tar.gz with the files in a folder. Its bytes depend on nothing else.
func writeTar(archive, folder string, files []file, at time.Time) error {
	var out bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return err
	}
	entries := tar.NewWriter(compressed)
	for _, f := range sorted(files) {
		content, err := os.ReadFile(f.path)
		if err != nil {
			return err
		}
		err = entries.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: folder + "/" + f.name, Size: int64(len(content)),
			Mode: int64(f.mode()), ModTime: at, Uname: "root", Gname: "root", Format: tar.FormatUSTAR,
		})
		if err != nil {
			return err
		}
		if _, err := entries.Write(content); err != nil {
			return err
		}
	}
	if err := entries.Close(); err != nil {
		return err
	}
	if err := compressed.Close(); err != nil {
		return err
	}
	return writeFile(archive, out.Bytes())
}

// writeZip writes a zip with the files in a folder. Its bytes depend on nothing else.
func writeZip(archive, folder string, files []file, at time.Time) error {
	var out bytes.Buffer
	entries := zip.NewWriter(&out)
	for _, f := range sorted(files) {
		content, err := os.ReadFile(f.path)
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: folder + "/" + f.name, Method: zip.Deflate, Modified: at}
		header.SetMode(f.mode())
		entry, err := entries.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := entry.Write(content); err != nil {
			return err
		}
	}
	if err := entries.Close(); err != nil {
		return err
	}
	return writeFile(archive, out.Bytes())
}

func sorted(files []file) []file {
	return slices.SortedFunc(slices.Values(files), func(a, b file) int { return strings.Compare(a.name, b.name) })
}

// writeSums writes SHA256SUMS for all files of a directory, as `sha256sum -c` reads it.
func writeSums(directory string) error {
	entries, err := os.ReadDir(directory) // sorted
	if err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(directory, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), e.Name())
	}
	return writeFile(filepath.Join(directory, "SHA256SUMS"), sums.Bytes())
}

// writeFile writes a file that everybody may read.
func writeFile(path string, content []byte) error {
	fmt.Println(filepath.Base(path), len(content))
	return os.WriteFile(path, content, 0o644) //nolint:gosec // everybody may read a release
}
