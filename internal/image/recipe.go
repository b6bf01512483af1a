package image

import (
	"crypto/sha256"
	_ "embed" // the recipe's parts
	"encoding/hex"
	"encoding/json"
	"maps"
	"runtime"
	"strings"
)

// recipe is everything that decides what the default image holds, and so what its id is made of.
type recipe struct {
	Format       int // raised when the code that follows the recipe changes what comes out
	Architecture string
	Suite        string   // of Debian
	Packages     []string // of Debian
	Requirements string   // Python packages with versions and hashes, as pip reads them
	Setup        string   // script that finishes the image, run inside
	Env          map[string]string
}

//go:embed default/packages.txt
var defaultPackages string

//go:embed default/requirements.txt
var defaultRequirements string

//go:embed default/setup.sh
var defaultSetup string

// The choice of Python packages follows what AWS documents as installed, as far as its price is fair. scikit-learn (35 MB, loaded on import only) is in. pyarrow is
// not: 165 MB on disk, and pandas imports it whenever it is there, which costs every session that uses pandas 34 MB of memory (141 against 107 MB measured).
func defaultRecipe() recipe {
	return recipe{
		Format:       1,
		Architecture: runtime.GOARCH,
		Suite:        "bookworm",
		Packages:     packageList(defaultPackages),
		Requirements: defaultRequirements,
		Setup:        defaultSetup,
		Env: map[string]string{
			"PATH":                          "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/amazon/genesis1p-tools/var/.local/bin",
			"LANG":                          "C.UTF-8",
			"MPLCONFIGDIR":                  "/opt/sunaba/matplotlib",
			"PIP_DISABLE_PIP_VERSION_CHECK": "1",
		},
	}
}

// id returns the recipe's SHA-256 in hexadecimal.
func (r recipe) id() string {
	b, err := json.Marshal(r) // maps are written with their keys sorted
	if err != nil {
		panic(err) // strings and maps of strings only
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (r recipe) image() Image {
	return Image{Env: maps.Clone(r.Env), Source: "recipe", Architecture: r.Architecture, User: "genesis1ptools", WorkingDir: "/opt/amazon/genesis1p-tools/var"}
}

// packageList reads one name a line; # begins a comment.
func packageList(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			names = append(names, line)
		}
	}
	return names
}
