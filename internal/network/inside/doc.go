// Package inside has the tests of internal/network with real sandboxes: what clients of all kinds see from inside, and what they must not see. They are a package of
// their own so that the fuzz targets of the other need not link gVisor.
package inside
