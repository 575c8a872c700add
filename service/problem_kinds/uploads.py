"""Pictures, archives and tables that were handed in."""

from service.problem_kinds.kind import Kind

NOT_AN_IMAGE = Kind(
    "not-an-image",
    422,
    "Not a readable picture",
    "The upload is empty, of an unknown format, truncated or damaged. JPEG, PNG, WebP, BMP, "
    "TIFF, GIF and PPM are read, whatever the file is called.",
    "image",
)
UNSUPPORTED_IMAGE = Kind(
    "unsupported-image",
    422,
    "A picture that cannot be certified",
    "A certificate is about one still picture: animations, several pages, samples without an "
    "agreed brightness and pictures more than 100 times as long as wide are refused.",
    "image",
)
OTHER_IMAGE_ERROR = Kind(
    "image",
    422,
    "The picture cannot be used",
    "`detail` says why.",
    "image",
)
TOO_LARGE = Kind(
    "too-large",
    413,
    "The upload is too large",
    "The body, the file or its pixels are over this deployment's limit. The pixels are counted "
    "from the file's header, before anything is decoded. Send a smaller picture.",
    "image",
)
BAD_ARCHIVE = Kind(
    "bad-archive",
    422,
    "The archive cannot be used",
    "It is no zip or tar (plain, gzip, bzip2 or xz), is cut off, damaged or forged, or there is no "
    "picture in it; `detail` says which. Pack the pictures again and send all of it.",
)
ARCHIVE_TOO_LARGE = Kind(
    "archive-too-large",
    413,
    "The archive holds too much",
    "It has more entries than may be taken in at once, or unpacks to more bytes. Submit it as "
    "several jobs. What unpacks to hundreds of times its own size is refused as a bomb.",
)
UNREADABLE_PICTURE = Kind(
    "unreadable-picture",
    422,
    "A picture of the job cannot be read",
    "It is no picture, too large, encrypted, damaged, a link, or has a name that leads out of the "
    "archive. It fails alone; `detail` says why. The other pictures go on.",
)
BAD_TABLE = Kind(
    "bad-table",
    422,
    "A manifest or a file of labels is wrong",
    "`detail` names the line and the column. Nothing of the job was taken in: mend the line and "
    "send it again.",
)
