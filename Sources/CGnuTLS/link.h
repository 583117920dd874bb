/* Empty on purpose: this module only carries the flags that find and link GnuTLS, which libmicrohttpd uses, too. */
