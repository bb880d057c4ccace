package localtls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"

	"github.com/popbridge/popbridge/internal/atomicfile"
	"github.com/popbridge/popbridge/internal/fault"
)

const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY" // PKCS #8
)

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der})
}

// key reads a private key, or makes it when there is none.
func (k *keeper) key(name string) (*ecdsa.PrivateKey, error) {
	der, err := k.readBlock(name, keyBlock)
	if errors.Is(err, fs.ErrNotExist) {
		return k.newKey(name)
	}
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, k.damaged(name, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, k.damaged(name, errors.New("it is not an ECDSA key"))
	}
	return key, nil
}

func (k *keeper) newKey(name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "no key can be made", "")
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "no key can be made", "")
	}
	return key, k.write(name, 0o600, pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}))
}

func (k *keeper) readCertificate(name string) (*x509.Certificate, error) {
	der, err := k.readBlock(name, certificateBlock)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, k.damaged(name, err)
	}
	return cert, nil
}

// readBlock reads a file with one PEM block. errors.Is tells a missing file.
func (k *keeper) readBlock(name, kind string) ([]byte, error) {
	data, err := atomicfile.ReadFile(k.path(name))
	if err != nil {
		return nil, k.damaged(name, err)
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != kind || len(rest) > 0 {
		return nil, k.damaged(name, errors.New("it does not hold one "+kind))
	}
	return block.Bytes, nil
}
