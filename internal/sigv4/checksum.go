package sigv4

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"strings"
	"sync"
)

// nvmeTable is CRC-64/NVME, in the reflected form that hash/crc64 takes.
var nvmeTable = sync.OnceValue(func() *crc64.Table { return crc64.MakeTable(0x9a6c9329ac4bc9b5) })

const checksumPrefix = "x-amz-checksum-"

// newChecksum returns the hash of a checksum header, by its lower-case name, and what S3 calls the algorithm; nil if there is none of that name.
func newChecksum(header string) (hash.Hash, string) {
	name, ok := strings.CutPrefix(header, checksumPrefix)
	if !ok {
		return nil, ""
	}
	switch name {
	case "crc32":
		return crc32.NewIEEE(), "CRC32"
	case "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli)), "CRC32C"
	case "crc64nvme":
		return crc64.New(nvmeTable()), "CRC64NVME"
	case "sha1":
		return sha1.New(), "SHA1"
	case "sha256":
		return sha256.New(), "SHA256"
	case "sha512":
		return sha512.New(), "SHA512"
	}
	return nil, ""
}
