FROM python:3.13-slim
ARG REQUIREMENTS=requirements/web.txt
# Static files belong to the image, not to the data: a volume would keep those of an earlier version.
ENV PYTHONUNBUFFERED=1 DJANGO_SETTINGS_MODULE=moondream_site.settings.production VAR_DIR=/data STATIC_ROOT=/app/var/static
WORKDIR /app
COPY requirements.txt ./
COPY requirements ./requirements
RUN pip install --no-cache-dir -r ${REQUIREMENTS}
COPY . .
RUN useradd --create-home hub && mkdir /data && chown hub /data \
 && SECRET_KEY=build-time-only-build-time-only-build-time-only-0000 REFERENCES_KEY=build-time-only-build-time-only-build-time-only-1111 python manage.py collectstatic --noinput
USER hub
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz')" || exit 1
CMD ["python", "-m", "uvicorn", "moondream_site.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--no-proxy-headers", "--timeout-graceful-shutdown", "5"]
