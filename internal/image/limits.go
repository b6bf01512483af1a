package image

// Limits bound what an import may unpack, all layers together. An image is written by strangers: without limits, a few kilobytes can fill a disk.
type Limits struct {
	Bytes   int64 // bytes of the layers uncompressed, and of file contents
	Entries int   // files, folders, links
}

// DefaultLimits returns limits that are generous for real images: the largest in wide use, with machine learning frameworks in them, stay below 20 GB and
// 500,000 files.
func DefaultLimits() Limits { return Limits{Bytes: 64 << 30, Entries: 2_000_000} }
