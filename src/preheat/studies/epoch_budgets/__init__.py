"""Does a schedule that was tuned at a small budget keep its promise at a larger one?"""
