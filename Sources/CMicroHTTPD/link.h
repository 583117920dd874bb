/* Empty on purpose: this module only carries the flags that find and link libmicrohttpd. <microhttpd.h> itself is
   included by CHTTPDaemon's .c files alone, because its types do not survive the import into Swift. */
