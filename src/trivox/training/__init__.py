"""What `trivox.train` is made of: the experiment, its data, its optimizer, its run folder."""
