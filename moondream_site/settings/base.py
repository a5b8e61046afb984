"""Settings that hold everywhere. The environment is read here and nowhere else; `.env.example`
lists every variable (a test compares the two)."""

import os
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF, WASM_UNSAFE_EVAL
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

BASE_DIR = Path(__file__).resolve().parents[2]
env = environ.Env()

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
# A host of the status page alone, as in status.example.org: its root is that page.
STATUS_HOST = env.str("STATUS_HOST", default="").lower()
if STATUS_HOST:
    ALLOWED_HOSTS.append(STATUS_HOST.partition(":")[0])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))

INSTALLED_APPS = [
    "notifications",
    "research",
    "playground",
    "leaderboard",
    "pricing",
    "status",
    "inference",
    "inference.tuning",
    "moondream_site.design",
    "wagtail.contrib.redirects",
    "wagtail.contrib.routable_page",
    "wagtail.contrib.settings",
    "wagtail.contrib.sitemaps",
    "wagtail.contrib.table_block",
    "wagtail.embeds",
    "wagtail.sites",
    "wagtail.users",
    "wagtail.snippets",
    "wagtail.documents",
    "wagtail.images",
    "wagtail.search",
    "wagtail.admin",
    "wagtail",
    "modelcluster",
    "taggit",
    "django_htmx",
    "template_partials",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.usersessions",
    "django.contrib.humanize",  # allauth's pages tell how long ago something was
    "django_celery_beat",
    "corsheaders",
    "csp",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.sitemaps",
    "django.contrib.postgres",
]

MIDDLEWARE = [
    "moondream_site.handler.ReleaseConnections",
    "moondream_site.proxies.TrustedProxies",
    # Before all that looks at paths: on that host they mean something else.
    "moondream_site.status_host.StatusHost",
    "moondream_site.api.PlainSlashes",
    # Before all that may refuse: a page elsewhere is to read why.
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    # Before all that reads a body; what is answered before a view is chosen is not counted.
    "moondream_site.limits.RateLimits",
    "moondream_site.readable.Readable",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "inference.page_cache.PageCache",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "research.addresses.EndingRedirects",
    "allauth.account.middleware.AccountMiddleware",
    "moondream_site.signin.StaffSecondStep",
    "moondream_site.design.middleware.ErrorPages",
    "moondream_site.api.MethodNotAllowed",
]

ROOT_URLCONF = "moondream_site.urls"
ASGI_APPLICATION = "moondream_site.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "wagtail.contrib.settings.context_processors.settings",
                "csp.context_processors.nonce",
            ],
            "builtins": ["moondream_site.design.templatetags.design"],
        },
    }
]

# PostgreSQL, by any conninfo psycopg reads: a URL, with a host or a socket folder.
DATABASE_URL = env.str("DATABASE_URL", default="postgresql://postgres@localhost/moondream")


def database(url: str) -> dict[str, Any]:
    """A Django database entry for a PostgreSQL URL."""
    parts = conninfo_to_dict(url)
    names = {
        "dbname": "NAME",
        "user": "USER",
        "password": "PASSWORD",
        "host": "HOST",
        "port": "PORT",
    }
    entry: dict[str, Any] = {
        django: str(parts.pop(pg) or "") for pg, django in names.items() if pg in parts
    }
    options: dict[str, Any] = {key: value for key, value in parts.items() if value is not None}
    # Django's own pool: under ASGI each request may run in another thread.
    options["pool"] = {"min_size": 1, "max_size": 10, "timeout": 10}
    # One that the server closed meanwhile is found before it is used, and another taken.
    entry |= {"CONN_HEALTH_CHECKS": True, "OPTIONS": options}
    return {"ENGINE": "django.db.backends.postgresql", **entry}


DATABASES = {"default": database(DATABASE_URL)}

REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
REDIS_PREFIX = env.str("REDIS_PREFIX", default="moondream:")
# What a server of its own can hold to a number of bytes: the broker's must never drop anything.
CACHE_URL = env.str("CACHE_URL", default="") or REDIS_URL
CACHES = {
    "default": {
        "BACKEND": "moondream_site.cache.Cache",
        "LOCATION": CACHE_URL,
        "KEY_PREFIX": f"{REDIS_PREFIX}cache",
    }
}
# Not in the cache: one that was away while somebody signed out would bring the session back.
SESSION_ENGINE = "django.contrib.sessions.backends.db"

PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

AUTHENTICATION_BACKENDS = [
    "moondream_site.signin.Backend",
    "allauth.account.auth_backends.AuthenticationBackend",
]

# Accounts: e-mail and password; GitHub, Google and ORCID where their keys are set.
EMAIL_URL = env.str("EMAIL_URL", default="")
# Without a mail server no page may promise a letter (the tag `sends_mail`).
SENDS_MAIL = bool(EMAIL_URL)
if SENDS_MAIL:
    _mail = env.email_url("EMAIL_URL")
    if _mail["EMAIL_BACKEND"] == "django.core.mail.backends.smtp.EmailBackend":
        _mail["EMAIL_BACKEND"] = "pricing.mail_backend.Backend"
    vars().update(_mail)
else:
    EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Moondream hub <hub@localhost>")
ACCOUNT_ADAPTER = "moondream_site.signin.Adapter"
ACCOUNT_LOGIN_METHODS = {"email", "username"}  # an admin made at the console may have no address
# Guesses of passwords: from one address, of one account from one address, of one account from anywhere
# (so that no single stranger keeps its owner out), and of a restricted page's or collection's.
ACCOUNT_RATE_LIMITS = {
    "login_failed": "10/m/ip,5/5m/key",
    "login_failed_account": "100/h/key",
    "shared_password": "10/m/ip,100/h/key",
}
# Days for which an account whose deletion was asked for can still be kept, and for which an archive of one's
# data can be downloaded.
ACCOUNT_DELETION_DAYS = env.int("ACCOUNT_DELETION_DAYS", default=7)
DATA_EXPORT_DAYS = env.int("DATA_EXPORT_DAYS", default=7)
# With it, whoever has an admin's rights needs a second step to sign in, or reaches nothing.
REQUIRE_STAFF_MFA = env.bool("REQUIRE_STAFF_MFA", default=False)
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
# Browsers take a passkey on http at localhost alone; a site on https is asked to prove it.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not env.str("SITE_URL", default="http:").startswith("https:")
MFA_TOTP_ISSUER = "Moondream hub"
MFA_ALLOW_UNVERIFIED_EMAIL = True  # without a mail server none is verified
# Passwords and addresses are changed under /account/, which asks for the password again.
WAGTAIL_PASSWORD_MANAGEMENT_ENABLED = False
WAGTAIL_PASSWORD_RESET_ENABLED = False
WAGTAIL_EMAIL_MANAGEMENT_ENABLED = False
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if EMAIL_URL else "none"
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[Moondream hub] "
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
ACCOUNT_USER_DISPLAY = "moondream_site.accounts.display_name"
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/account/"
LOGOUT_REDIRECT_URL = "/"
_PROVIDERS = {
    "github": (env.str("GITHUB_CLIENT_ID", default=""), env.str("GITHUB_SECRET", default="")),
    "google": (env.str("GOOGLE_CLIENT_ID", default=""), env.str("GOOGLE_SECRET", default="")),
    "orcid": (env.str("ORCID_CLIENT_ID", default=""), env.str("ORCID_SECRET", default="")),
}
# Without its keys a provider has no addresses either.
INSTALLED_APPS += [
    f"allauth.socialaccount.providers.{name}" for name, (client, _) in _PROVIDERS.items() if client
]
SOCIALACCOUNT_PROVIDERS = {
    name: {"APPS": [{"client_id": client, "secret": secret}]}
    for name, (client, secret) in _PROVIDERS.items()
    if client
}

# Browsers hold a form to where it leads, also by way of a redirect.
_PROVIDER_HOSTS = {
    "github": "https://github.com",
    "google": "https://accounts.google.com",
    "orcid": "https://orcid.org",
}
_FORM_ACTIONS = [_PROVIDER_HOSTS[name] for name in SOCIALACCOUNT_PROVIDERS]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(VAR_DIR / "static")))
STATICFILES_DIRS = [
    BASE_DIR / "static",
    ("samples", BASE_DIR / "inference" / "world" / "sample_images"),
    ("models", BASE_DIR / "inference" / "weights" / "browser"),
]
MEDIA_URL = "/media/"
MEDIA_ROOT = VAR_DIR / "media"
PRIVATE_DIR = Path(env.str("PRIVATE_DIR", default=str(VAR_DIR / "private")))
IMAGE_STORE_DIR = Path(env.str("IMAGE_STORE_DIR", default=str(VAR_DIR / "images")))
# What editors and importers store ("default"), predictions and hidden references ("private", to which
# no address leads), and images that were asked about.
STORAGES: dict[str, Any] = {
    "default": {"BACKEND": "inference.storage.LocalStorage"},
    "private": {
        "BACKEND": "inference.storage.LocalStorage",
        "OPTIONS": {"location": PRIVATE_DIR, "file_permissions_mode": 0o600},
    },
    "question_images": {"BACKEND": "inference.storage.LocalQuestionImages"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}


def in_bucket(**options: Any) -> dict[str, Any]:
    """The same three as folders of a bucket, named as on a disk: no two processes need share one then.
    Nobody else may read it."""
    folders: dict[str, dict[str, Any]] = {
        "default": {"location": "media", "base_url": MEDIA_URL, "file_overwrite": False},
        "private": {"location": "private", "file_overwrite": False},
        "question_images": {"location": "images", "file_overwrite": True},
    }
    backend = "inference.object_storage.ObjectStorage"
    return {name: {"BACKEND": backend, "OPTIONS": options | own} for name, own in folders.items()}


_BUCKET: dict[str, Any] = {
    "bucket_name": env.str("STORAGE_BUCKET", default=""),
    "endpoint_url": env.str("STORAGE_ENDPOINT_URL", default="") or None,
    "region_name": env.str("STORAGE_REGION", default="") or None,
    "timeout_s": env.float("STORAGE_TIMEOUT_S", default=5.0),
}
# Without them boto3 looks where Amazon's own tools do: the environment, files, the machine's role.
_ACCESS_KEY = env.str("STORAGE_ACCESS_KEY", default="")
_SECRET_KEY = env.str("STORAGE_SECRET_KEY", default="")
if _ACCESS_KEY:
    _BUCKET |= {"access_key": _ACCESS_KEY, "secret_key": _SECRET_KEY}
if _BUCKET["bucket_name"]:
    STORAGES |= in_bucket(**_BUCKET)
# Documents are given by this site, which asks who may have them.
WAGTAILDOCS_SERVE_METHOD = "serve_view"
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

WAGTAIL_SITE_NAME = "Moondream hub"
WAGTAILADMIN_BASE_URL = env.str("SITE_URL", default="http://localhost:8000")
WAGTAILSEARCH_BACKENDS = {"default": {"BACKEND": "wagtail.search.backends.database"}}
WAGTAIL_ENABLE_UPDATE_CHECK = False
# Editors' pictures are those they upload: no other server is told who edits here.
WAGTAIL_GRAVATAR_PROVIDER_URL = None
# A picture without a description is of no use to who cannot see it.
WAGTAILIMAGES_IMAGE_FORM_BASE = "research.forms.DescribedImageForm"
WAGTAILIMAGES_EXTENSIONS = ["avif", "gif", "jpg", "jpeg", "png", "webp"]
WAGTAILDOCS_DOCUMENT_FORM_BASE = "research.forms.CheckedDocumentForm"
# Nothing a browser would run: no HTML, SVG, XML or script.
WAGTAILDOCS_EXTENSIONS = [
    "avif", "bib", "csv", "docx", "gif", "gz", "ipynb", "jpeg", "jpg", "json", "jsonl", "md", "mp4",
    "npy", "npz", "odp", "ods", "odt", "onnx", "parquet", "pdf", "png", "pptx", "safetensors", "tar",
    "tsv", "txt", "webm", "webp", "xlsx", "xz", "yaml", "yml", "zip", "zst",
]  # fmt: skip

# Security
# How many proxies stand in front: `moondream_site.proxies` alone reads what they say, and hands on
# the address and the scheme. So to whatever else could read it, there is none.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
NINJA_NUM_PROXIES = 0
ALLAUTH_TRUSTED_PROXY_COUNT = 0
# Whose pages may call `/v1` from a browser: origins as in https://lab.example.org, or * for all. No
# cookies go with it: who is calling is told by a key.
_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_ALLOW_ALL_ORIGINS = "*" in _ORIGINS
CORS_ALLOWED_ORIGINS = [origin.rstrip("/") for origin in _ORIGINS if origin != "*"]
CORS_URLS_REGEX = r"^/v1(/|$)"
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_METHODS = ["GET", "HEAD", "OPTIONS", "POST"]
_STAINLESS = (
    "arch", "async", "custom-poll-interval", "helper-method", "lang", "os", "package-version",
    "poll-helper", "read-timeout", "retry-count", "runtime", "runtime-version", "timeout",
)  # fmt: skip
CORS_ALLOW_HEADERS = [
    "accept", "authorization", "content-type", "idempotency-key", "last-event-id", "x-moondream-auth",
    # What OpenAI's client sends besides.
    "openai-beta", "openai-organization", "openai-project", "user-agent", "x-client-request-id",
    *(f"x-stainless-{name}" for name in _STAINLESS),
]  # fmt: skip
CORS_EXPOSE_HEADERS = ["allow", "ratelimit", "ratelimit-policy", "retry-after"]
X_FRAME_OPTIONS = "SAMEORIGIN"
SECURE_REFERRER_POLICY = "strict-origin-when-cross-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
CONTENT_SECURITY_POLICY = {
    # Wagtail's admin carries inline styles and scripts of its own.
    "EXCLUDE_URL_PREFIXES": ["/admin/"],
    "DIRECTIVES": {
        "default-src": [SELF],
        # WebAssembly for the model in the browser; scripts cannot be evaluated.
        "script-src": [SELF, WASM_UNSAFE_EVAL],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        # Films of those that `research.blocks.media` knows, once a reader asks for one.
        "frame-src": [SELF, "https://www.youtube-nocookie.com", "https://player.vimeo.com"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF, *_FORM_ACTIONS],
        "frame-ancestors": [SELF],
    },
}

# Inference
# Of a worker process; half the cores leave room for the web, and a small model gains nothing from
# more. 0 is torch's own choice.
INFERENCE_THREADS = env.int("INFERENCE_THREADS", default=max(1, (os.cpu_count() or 2) // 2))
INFERENCE_DEVICE = env.str("INFERENCE_DEVICE", default="auto")
# torch.compile: auto (on a GPU at full precision), on, off.
INFERENCE_COMPILE = env.str("INFERENCE_COMPILE", default="auto")
INFERENCE_MODEL_DIR = Path(
    env.str("INFERENCE_MODEL_DIR", default=str(BASE_DIR / "inference" / "weights" / "embedded"))
)
MODELS_DIR = Path(env.str("MODELS_DIR", default=str(VAR_DIR / "models")))
# With a key, Moondream's own service is one more variant; the images asked of it leave this server.
MOONDREAM_API_KEY = env.str("MOONDREAM_API_KEY", default="")
MOONDREAM_ENDPOINT = env.str("MOONDREAM_ENDPOINT", default="https://api.moondream.ai/v1")
# Another server of this API as a variant: where it begins, its key, its model (empty: its default), and the
# one revision it may have (empty: any). How long it may say nothing.
INFERENCE_REMOTE_URL = env.str("INFERENCE_REMOTE_URL", default="")
INFERENCE_REMOTE_KEY = env.str("INFERENCE_REMOTE_KEY", default="")
INFERENCE_REMOTE_MODEL = env.str("INFERENCE_REMOTE_MODEL", default="")
INFERENCE_REMOTE_REVISION = env.str("INFERENCE_REMOTE_REVISION", default="")
INFERENCE_REMOTE_READ_S = env.float("INFERENCE_REMOTE_READ_S", default=25.0)
INFERENCE_JOB_TIME_LIMIT_S = env.int("INFERENCE_JOB_TIME_LIMIT_S", default=30)
# How long a message may stay unacknowledged before another worker gets it: above the time limit.
INFERENCE_VISIBILITY_TIMEOUT_S = env.int("INFERENCE_VISIBILITY_TIMEOUT_S", default=45)
INFERENCE_STREAM_TTL_S = env.int("INFERENCE_STREAM_TTL_S", default=3600)
# Open streams and waiting callers of one web process: from one address, and in all. Each takes a
# socket and an idle thread, no database connection.
STREAMS_MAX_PER_ADDRESS = env.int("STREAMS_MAX_PER_ADDRESS", default=240)
STREAMS_MAX = env.int("STREAMS_MAX", default=800)
# A stream ends after this, and its reader comes back.
STREAM_MAX_S = env.int("STREAM_MAX_S", default=3600)
# Encoded images: in each worker process, and beside the stored images for all of them (0: none).
INFERENCE_ENCODE_CACHE_MB = env.int("INFERENCE_ENCODE_CACHE_MB", default=256)
INFERENCE_ENCODE_DISK_MB = env.int("INFERENCE_ENCODE_DISK_MB", default=4096)
INFERENCE_MAX_IMAGE_BYTES = env.int("INFERENCE_MAX_IMAGE_BYTES", default=20 * 1024 * 1024)
# Pixels that are decoded in full; a JPEG may have four times as many, it is reduced while decoded.
INFERENCE_MAX_IMAGE_PIXELS = env.int("INFERENCE_MAX_IMAGE_PIXELS", default=65_000_000)
# Processes that decode images, what each may take above what it is, and how many images may wait for them.
INFERENCE_DECODERS = env.int("INFERENCE_DECODERS", default=2)
INFERENCE_DECODER_MEMORY_MB = env.int("INFERENCE_DECODER_MEMORY_MB", default=1024)
INFERENCE_DECODERS_WAITING = env.int("INFERENCE_DECODERS_WAITING", default=32)
# Editors' images: the web process itself makes their renditions, of all pixels.
WAGTAILIMAGES_MAX_UPLOAD_SIZE = INFERENCE_MAX_IMAGE_BYTES
WAGTAILIMAGES_MAX_IMAGE_PIXELS = min(40_000_000, INFERENCE_MAX_IMAGE_PIXELS)
INFERENCE_MAX_QUEUE_DEPTH = env.int("INFERENCE_MAX_QUEUE_DEPTH", default=64)
# Older than this, a waiting job shows that the workers cannot keep up: newcomers are sent away.
INFERENCE_MAX_QUEUE_AGE_S = env.int("INFERENCE_MAX_QUEUE_AGE_S", default=60)
INFERENCE_MAX_WAITING_PER_CALLER = env.int("INFERENCE_MAX_WAITING_PER_CALLER", default=24)
# How long a process believes what it read of the variants; a change elsewhere is seen after it.
INFERENCE_VARIANTS_KEPT_S = env.float("INFERENCE_VARIANTS_KEPT_S", default=1)
# Waiting questions of one variant that are answered in one pass.
INFERENCE_BATCH = env.int("INFERENCE_BATCH", default=8)
# Tuned adapters that a worker keeps beside a loaded model.
INFERENCE_ADAPTERS_KEPT = env.int("INFERENCE_ADAPTERS_KEPT", default=8)
INFERENCE_IMAGE_RETENTION_H = env.int("INFERENCE_IMAGE_RETENTION_H", default=24)
# A worker process that ever took more is replaced after its answer, and loads its model again: well
# above what loading a model of the vendor's takes (8 GB, of which half is the mapped file).
INFERENCE_WORKER_MEMORY_MB = env.int(
    "INFERENCE_WORKER_MEMORY_MB",
    default=max(4096, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4 // 2**20),
)
# Tuning: a worker of the queue `train` goes on with one run for this long before another's turn comes.
TUNING_SLICE_S = env.float("TUNING_SLICE_S", default=8)
# How long a run may be worked on, of an account and of a caller without one, and its steps.
TUNING_MAX_S = env.int("TUNING_MAX_S", default=3600)
TUNING_ANON_MAX_S = env.int("TUNING_ANON_MAX_S", default=180)
TUNING_MAX_STEPS = env.int("TUNING_MAX_STEPS", default=2000)
# Runs of one account that are under way, and runs that wait in all.
TUNING_MAX_RUNS = env.int("TUNING_MAX_RUNS", default=3)
TUNING_MAX_WAITING = env.int("TUNING_MAX_WAITING", default=32)
# A data set's file; checkpoints and data sets of one account together, and of a caller without one.
TUNING_MAX_UPLOAD_MB = env.int("TUNING_MAX_UPLOAD_MB", default=50)
TUNING_STORAGE_MB = env.int("TUNING_STORAGE_MB", default=2048)
TUNING_ANON_STORAGE_MB = env.int("TUNING_ANON_STORAGE_MB", default=100)
# Days after which data sets that no run needs, and what callers without an account tuned, are deleted.
TUNING_RETENTION_DAYS = env.int("TUNING_RETENTION_DAYS", default=7)
# What hidden references are sealed with, and hidden scenes are drawn from. Several, the newest
# first, as in "2026b:…,2026a:…": the first seals, the others only open (`manage.py benchmarks reseal`).
REFERENCES_KEY = env.str("REFERENCES_KEY", default="")
REFERENCES_KEYS = env.list("REFERENCES_KEYS", default=[])
# Saved sessions of the playground: MB of images that an account, and that all visitors of a network without
# one, may hold; and days after which sessions of the latter are deleted if nobody comes back to them.
SESSIONS_STORAGE_MB = env.int("SESSIONS_STORAGE_MB", default=1024)
SESSIONS_ANON_STORAGE_MB = env.int("SESSIONS_ANON_STORAGE_MB", default=200)
SESSIONS_RETENTION_DAYS = env.int("SESSIONS_RETENTION_DAYS", default=30)
# Hosts and networks, as in "hooks.lab.internal,10.20.0.0/16", to which requests may go that strangers name
# (webhooks); without it only public hosts, by https.
OUTBOUND_ALLOWED = [entry for entry in env.list("OUTBOUND_ALLOWED", default=[]) if entry]
# How often an address may ask; other allowances are multiples of it (`pricing.throttling`).
ANON_RATE = env.str("ANON_RATE", default="60/m")
# The same for an account, by its API keys together; empty is twice as often.
KEY_RATE = env.str("KEY_RATE", default="")

# Payments, by Stripe. Without a secret key nothing is sold and no page speaks of it. A key of the live mode
# takes real money and is refused unless STRIPE_LIVE says so. Webhook secrets: one, or old and new.
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="")
STRIPE_WEBHOOK_SECRETS = env.list("STRIPE_WEBHOOK_SECRETS", default=[])
STRIPE_LIVE = env.bool("STRIPE_LIVE", default=False)
# The event that a Stripe meter of images counts.
STRIPE_METER_EVENT = env.str("STRIPE_METER_EVENT", default="moondream_images")
# Where its API is, and the origins of its own pages, to which our forms lead.
STRIPE_API_BASE = env.str("STRIPE_API_BASE", default="https://api.stripe.com")
STRIPE_PAGES = env.list(
    "STRIPE_PAGES", default=["https://checkout.stripe.com", "https://billing.stripe.com"]
)
if STRIPE_SECRET_KEY and not STRIPE_WEBHOOK_SECRETS:
    raise ImproperlyConfigured("Set STRIPE_WEBHOOK_SECRETS: without it nobody hears what was paid.")
if "_live_" in STRIPE_SECRET_KEY and not STRIPE_LIVE:
    raise ImproperlyConfigured(
        "STRIPE_SECRET_KEY is of the live mode, which takes real money. Set STRIPE_LIVE if that is meant."
    )

# Celery: the broker's two extra options are what brings a killed worker's job back in seconds
# (by default kombu sweeps about every 100 s).
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": INFERENCE_VISIBILITY_TIMEOUT_S,
    "unacked_restore_interval": 2,
    "unacked_restore_throttle": 1,
    "global_keyprefix": f"{REDIS_PREFIX}celery:",
    # Lower is sooner: a caller with many questions waiting lets others' first ones pass.
    "queue_order_strategy": "priority",
    "priority_steps": [0, 1, 2, 3],
    "sep": ":",
    "socket_connect_timeout": 2,
    "socket_timeout": 5,  # above the second that a worker's blocking read takes
    "socket_keepalive": True,
}
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.1}
CELERY_TASK_IGNORE_RESULT = True
# Nothing is kept in it: without this each request's thread makes one of its own to say so.
CELERY_RESULT_BACKEND_THREAD_SAFE = True
CELERY_TASK_ACKS_LATE = True
# A worker that is asked to stop finishes what it can in this time and hands the rest back, so that
# another goes on with it at once. Workers start with REMAP_SIGTERM=SIGQUIT for it.
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = env.float("INFERENCE_SHUTDOWN_S", default=8.0)
# A child loads its model before it says that it is up. With Celery's four seconds, one that took the
# place of a recycled one was killed before it could, again and again.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = env.float("INFERENCE_START_S", default=300.0)
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Else a worker's child makes its pool of connections anew for each task; see moondream_site.celery.
CELERY_DB_REUSE_MAX = 10_000
CELERY_WORKER_MAX_MEMORY_PER_CHILD = INFERENCE_WORKER_MEMORY_MB * 1024
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
# When each task was last sent is written at once: health checks read it.
CELERY_BEAT_SYNC_EVERY = 1
CELERY_BEAT_SCHEDULE = {
    "inference-purge": {"task": "inference.tasks.purge", "schedule": 900.0},
    "sessions-purge": {"task": "playground.tasks.sessions_purge", "schedule": 3600.0},
    "tuning-purge": {"task": "inference.tuning.tasks.tuning_purge", "schedule": 3600.0},
    "tuning-rescue": {"task": "inference.tuning.tasks.tuning_rescue", "schedule": 15.0},
    "inference-rescue": {"task": "inference.tasks.rescue", "schedule": 15.0},
    "leaderboard-refresh": {"task": "leaderboard.tasks.refresh", "schedule": 6 * 3600.0},
    "leaderboard-images": {"task": "leaderboard.tasks.register_images", "schedule": 900.0},
    "leaderboard-rescue": {"task": "leaderboard.tasks.rescue", "schedule": 15.0},
    "research-links": {"task": "research.tasks.check_links", "schedule": 6 * 3600.0},
    "research-publish": {"task": "research.tasks.publish_scheduled", "schedule": 10.0},
    "ledger-sweep": {"task": "pricing.tasks.ledger_sweep", "schedule": 60.0},
    "ledger-daily": {"task": "pricing.tasks.ledger_daily", "schedule": 6 * 3600.0},
    "personal-care": {"task": "pricing.tasks.personal_care", "schedule": 60.0},
    "usage-alerts": {"task": "pricing.tasks.usage_alerts", "schedule": 600.0},
    "billing-work": {"task": "pricing.tasks.billing_work", "schedule": 60.0},
    "billing-reconcile": {"task": "pricing.tasks.billing_reconcile", "schedule": 6 * 3600.0},
    "costs-measure": {"task": "pricing.tasks.times_measure", "schedule": 6 * 3600.0},
    "status-checks": {"task": "status.tasks.run_checks", "schedule": 60.0},
    "notifications-sweep": {
        "task": "notifications.tasks.sweep",
        "schedule": 10.0,
        "options": {"queue": "notify"},
    },
    "notifications-purge": {
        "task": "notifications.tasks.purge",
        "schedule": 6 * 3600.0,
        "options": {"queue": "notify"},
    },
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = TIME_ZONE

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    # Each font of an invoice is told of in thirty lines, each question to Stripe in two. At INFO httpx
    # writes whole addresses, and those of webhooks are secrets.
    "loggers": {name: {"level": "WARNING"} for name in ("fontTools", "stripe", "httpx")},
}
