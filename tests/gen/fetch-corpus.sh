#!/bin/sh
# Fetches the .proto files of Debian's development packages, for the corpus test:
#
#	fetch-corpus.sh DIR && HAWSER_CORPUS=DIR meson test -C build --suite gen corpus
#
# The packages are downloaded (15 MB) and their .proto files unpacked into DIR;
# nothing is installed, since most of them would pull in a tree of Go libraries.
# These are the packages of Debian 12 with a service in a .proto, less those that
# only carry copies of another one's.
set -eu
corpus=${1:?usage: fetch-corpus.sh DIR}
mkdir -p "$corpus"
cd "$corpus"
packages='golang-gitaly-proto-dev golang-github-grpc-ecosystem-grpc-gateway-dev
golang-github-colinmarc-hdfs-dev golang-github-containerd-containerd-dev grpc-proto
golang-google-grpc-dev golang-github-lightstep-lightstep-tracer-common-dev
golang-github-docker-docker-dev golang-github-gogo-protobuf-dev
golang-github-gogo-googleapis-dev golang-etcd-server-dev librust-prost-build-dev
golang-v2ray-core-dev golang-github-grpc-ecosystem-go-grpc-prometheus-dev
golang-github-hashicorp-go-plugin-dev golang-github-golang-protobuf-1-3-dev
golang-github-grpc-ecosystem-grpc-opentracing-dev golang-github-docker-notary-dev
golang-github-golang-groupcache-dev golang-go.opencensus-dev golang-github-go-kit-kit-dev
golang-github-grafana-grafana-plugin-model-dev golang-github-kurin-blazer-dev
golang-github-osrg-gobgp-dev golang-google-cloud-dev
golang-github-grpc-ecosystem-go-grpc-middleware-dev golang-github-opentracing-contrib-go-grpc-dev
golang-google-protobuf-dev golang-github-influxdb-influxdb-dev libfalcosecurity0-dev
golang-github-newrelic-go-agent-dev golang-github-influxdata-yarpc-dev
golang-github-crowdsecurity-crowdsec-dev golang-step-linkedca-dev golang-google-appengine-dev
golang-github-tonistiigi-fsutil-dev golang-github-openzipkin-zipkin-go-dev
golang-github-alecthomas-participle-dev'
for package in $packages; do
	if [ -d "$package" ]; then
		continue
	fi
	if ! apt-get download -q "$package" >apt.log 2>&1; then
		echo "skipped: $package cannot be downloaded: $(tail -n 1 apt.log)" >&2
		continue
	fi
	mkdir "$package"
	dpkg-deb --fsys-tarfile "$package"_*.deb |
		tar -x -C "$package" --wildcards '*.proto' || rmdir "$package"
	rm "$package"_*.deb
done
rm -f apt.log
echo "$(find . -name '*.proto' | wc -l) .proto files in $corpus"
