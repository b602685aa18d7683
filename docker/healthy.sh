#!/bin/bash
# Is there an HTTP server that is well?  For health checks: nothing to install.
#   healthy PORT PATH
exec 3<> "/dev/tcp/127.0.0.1/$1" || exit 1
printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$2" >&3
read -r -t 2 _ status _ <&3
[ "$status" = 200 ]
