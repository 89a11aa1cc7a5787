"""Signed URLs of the usual storages; each signing fills in something else."""

SIGNED = [
    "https://b.s3.amazonaws.com/a.mp3?X-Amz-Algorithm=A&X-Amz-Credential=C&X-Amz-Date={0}&X-Amz-Signature={0}",
    "https://b.s3.amazonaws.com/a.mp3?AWSAccessKeyId=A&Expires={0}&Signature={0}",
    "https://b.s3.amazonaws.com/a.mp3?AWSAccessKeyId={0}&Expires={0}&Signature={0}&x-amz-security-token={0}",
    "https://storage.googleapis.com/b/a.mp3?GoogleAccessId=A&Expires={0}&Signature={0}",
    "https://d.cloudfront.net/a.mp3?Policy={0}&Signature={0}&Key-Pair-Id=K",
    "https://x.blob.core.windows.net/c/a.mp3?sv=2024&si=read&sr=b&sig={0}&ske={0}&skoid={0}",
    "https://storage.googleapis.com/b/a.mp3?X-Goog-Signature={0}&X-Goog-Date={0}",
    "https://d.cloudfront.net/a.mp3?Expires={0}&Signature={0}&Key-Pair-Id=K",
    "https://x.blob.core.windows.net/c/a.mp3?sv=2024&se={0}&sr=b&sp=r&sig={0}",
]
