// Package s3 is a store in an S3 bucket, or in anything that speaks its protocol with conditional writes.
//
// The address is s3://bucket/prefix with these options, all optional:
//
//	region      default: the credential chain's (AWS_REGION, profile)
//	endpoint    URL of another service than AWS
//	path_style  true: endpoint/bucket/key instead of bucket.endpoint/key
//	kms_key     KMS key id or ARN for server-side encryption; default: the bucket's own setting
//
// Credentials come from the SDK's default chain (environment, profile, web identity, container, instance), never from the
// address. The identity needs s3:PutObject, s3:GetObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListBucket.
//
// Invariants, cited where they are enforced:
//  1. Nothing is overwritten: every create is conditional (If-None-Match: *), the completion of a multipart upload too.
//  2. Bytes are checked on the way: a checksum goes with every part, and the whole file's sha256 with the object.
//  3. A create that is refused because the key exists has succeeded when the object is ours: same length, same sha256.
package s3
