package keystore

import "go.etcd.io/bbolt"

func setVersion(b *Bolt, version string) error {
	return b.update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketMeta).Put([]byte("version"), []byte(version))
	})
}
