"""Front ends without torch, for exported models: the same frames as those of `affectra.features`, in numpy."""
