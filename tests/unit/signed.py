"""Signed URLs of the usual storages; each signing fills in something else."""

KNOWN_TO_VERSION_1 = [
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

SIGNED = [
    *KNOWN_TO_VERSION_1,
    "https://cdn.example.com/a.mp3?Expires={0}&KeyName=k&Signature={0}",
    "https://b.oss-cn-hangzhou.aliyuncs.com/a.mp3?OSSAccessKeyId=A&Expires={0}&Signature={0}&security-token={0}",
    "https://b.oss-cn-hangzhou.aliyuncs.com/a.mp3?x-oss-signature-version=OSS4&x-oss-date={0}&x-oss-signature={0}",
    "https://b.cos.ap-beijing.myqcloud.com/a.mp3?q-sign-algorithm=sha1&q-ak=A&q-sign-time={0}&q-key-time={0}&q-signature={0}",
]
