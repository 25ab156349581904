package reach

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/disk"
	"stretcher/internal/text/failure"
)

// Bounds of the files that variables name.
const (
	maxToken        = 4 << 10
	maxCertificates = 4 << 20
	maxInDirectory  = 1000
)

// read reads a file that a variable names.
func read(variable, path string, limit int64) ([]byte, fs.FileMode, error) {
	data, mode, err := disk.ReadRegular(path, limit)
	if err == nil && len(data) == 0 {
		err = fmt.Errorf("%q is empty", path)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", variable, err)
	}
	return data, mode, nil
}

// readSecret reads one that others must not write. Who else may read it is for who made
// it: orchestrators make files of secrets that everybody in a container may read.
func readSecret(variable, path string, limit int64) ([]byte, error) {
	data, mode, err := read(variable, path, limit)
	if err == nil && mode&0o002 != 0 {
		err = failure.Hinted("chmod o-w",
			fmt.Errorf("%s: %q may be written by everybody on this host", variable, path))
	}
	return data, err
}

// tokenOf is the token that the variables name: what is in the file, if one is named.
func tokenOf(conf *api.Config) (token string, err error) {
	variable, token := api.HTTPTokenEnvName, conf.Token
	if conf.TokenFile != "" {
		variable = api.HTTPTokenFileEnvName
		data, err := readSecret(variable, conf.TokenFile, maxToken)
		if err != nil {
			return "", err
		}
		if token = strings.TrimSpace(string(data)); token == "" {
			return "", fmt.Errorf("%s: %q holds no token", variable, conf.TokenFile)
		}
		if strings.ContainsAny(token, "\r\n") {
			return "", fmt.Errorf("%s: %q holds several lines, and one token is expected", variable, conf.TokenFile)
		}
	}
	for _, c := range []byte(token) {
		if c <= ' ' || c > '~' {
			return "", fmt.Errorf("%s: what it names is no token: it has other characters than tokens have", variable)
		}
	}
	return token, nil
}

// readTLS has the library open no files itself: it takes whatever is there.
func readTLS(conf *api.TLSConfig) (err error) {
	if conf.CAFile != "" {
		conf.CAPem, _, err = read(api.HTTPCAFile, conf.CAFile, maxCertificates)
	} else if conf.CAPath != "" {
		conf.CAPem, err = readDirectory(conf.CAPath)
	}
	if err == nil && (conf.CertFile != "") != (conf.KeyFile != "") {
		err = fmt.Errorf("%s and %s are named together", api.HTTPClientCert, api.HTTPClientKey)
	}
	if err == nil && len(conf.CAPem) > 0 && !x509.NewCertPool().AppendCertsFromPEM(conf.CAPem) {
		err = fmt.Errorf("%s or %s: %q holds no certificate", api.HTTPCAFile, api.HTTPCAPath,
			cmp.Or(conf.CAFile, conf.CAPath))
	}
	if err == nil && conf.CertFile != "" {
		conf.CertPEM, _, err = read(api.HTTPClientCert, conf.CertFile, maxCertificates)
	}
	if err == nil && conf.KeyFile != "" {
		conf.KeyPEM, err = readSecret(api.HTTPClientKey, conf.KeyFile, maxCertificates)
	}
	if err == nil && len(conf.KeyPEM) > 0 {
		if _, err = tls.X509KeyPair(conf.CertPEM, conf.KeyPEM); err != nil {
			err = fmt.Errorf("%s and %s: %w", api.HTTPClientCert, api.HTTPClientKey, err)
		}
	}
	conf.CAFile, conf.CAPath, conf.CertFile, conf.KeyFile = "", "", "", ""
	return err
}

// readDirectory reads all certificates in a directory, and below it.
func readDirectory(dir string) (all []byte, err error) {
	files, size := 0, int64(0)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == dir && !d.IsDir():
			return errors.New("it is no directory")
		case d.IsDir(), strings.HasPrefix(d.Name(), ".."): // as Kubernetes puts aside what it has replaced
			return nil
		}
		data, _, err := disk.ReadRegular(path, maxCertificates-size)
		if files++; err == nil && files > maxInDirectory {
			err = fmt.Errorf("it has more than %d files", maxInDirectory)
		}
		size += int64(len(data))
		all = append(append(all, data...), '\n')
		return err
	})
	if err == nil && size == 0 {
		err = errors.New("it has no certificates")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %q: %w", api.HTTPCAPath, dir, err)
	}
	return all, nil
}

// libraryReads names the file of which the library reads a token again, by its name: it
// finds nothing there, and takes the one that it is given.
const libraryReads = os.DevNull
