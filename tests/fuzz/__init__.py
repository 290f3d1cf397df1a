"""Every reader of ours that gets bytes of a server, fed with bytes that no honest server sends; one file a reader."""
