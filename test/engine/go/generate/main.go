// Writes the SDKs of one Pulumi package from its schema, as `pulumi package gen-sdk` does.
// That command starts a language host per language; this uses the same generators without the hosts.
//
//	generate SCHEMA.json OUT      → OUT/python, OUT/nodejs, OUT/go
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/blang/semver"
	gogen "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	"github.com/pulumi/pulumi/pkg/v3/codegen/python"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
)

const tool = "keybrake engine test"

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: generate SCHEMA.json OUT"))
	}
	for language, generate := range map[string]func(*schema.Package) (map[string][]byte, error){
		"python": func(pkg *schema.Package) (map[string][]byte, error) {
			return python.GeneratePackage(tool, pkg, nil, alone{})
		},
		"nodejs": func(pkg *schema.Package) (map[string][]byte, error) {
			return nodejs.GeneratePackage(tool, pkg, nil, nil, true, alone{})
		},
		"go": func(pkg *schema.Package) (map[string][]byte, error) {
			return gogen.GeneratePackage(tool, pkg, nil)
		},
	} {
		// The generators write into the package they are given: each gets its own.
		files, err := generate(read(os.Args[1]))
		if err != nil {
			fail(fmt.Errorf("%s: %w", language, err))
		}
		write(filepath.Join(os.Args[2], language), files)
	}
}

// read binds the schema with the metaschema's validation on, which is stricter than the engine is at run time.
func read(file string) *schema.Package {
	text, err := os.ReadFile(file)
	if err != nil {
		fail(err)
	}
	var spec schema.PackageSpec
	if err := json.Unmarshal(text, &spec); err != nil {
		fail(err)
	}
	pkg, problems, err := schema.BindSpec(spec, alone{}, schema.ValidationOptions{})
	if err != nil {
		fail(err)
	}
	if problems.HasErrors() {
		fail(problems)
	}
	return pkg
}

// alone finds no other package: a schema that named one would need that package's plugin to be installed.
type alone struct{}

var _ schema.ReferenceLoader = alone{}

func (alone) LoadPackage(name string, _ *semver.Version) (*schema.Package, error) {
	return nil, fmt.Errorf("the schema names the package %s", name)
}

func (a alone) LoadPackageV2(_ context.Context, other *schema.PackageDescriptor) (*schema.Package, error) {
	return a.LoadPackage(other.Name, nil)
}

func (a alone) LoadPackageReference(name string, _ *semver.Version) (schema.PackageReference, error) {
	_, err := a.LoadPackage(name, nil)
	return nil, err
}

func (a alone) LoadPackageReferenceV2(_ context.Context, other *schema.PackageDescriptor) (schema.PackageReference, error) {
	return a.LoadPackageReference(other.Name, nil)
}

func write(directory string, files map[string][]byte) {
	for name, text := range files {
		file := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			fail(err)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			fail(err)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
